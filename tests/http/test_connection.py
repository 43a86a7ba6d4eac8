"""Connections of clients that are slow, huge, broken or hostile: real sockets, byte for byte."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from malformed_corpus import CHUNKED, CLOSING, CONNECTIONS, GOOD, POST

from services.http.app import create_capture_app
from services.http.connection import ConnectionLimits
from services.http.server import serve
from services.settings import Settings
from services.telemetry import Metrics

HEAD = b"POST /v1/captures HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

Serving = Callable[..., contextlib.AbstractAsyncContextManager["Door"]]


class Door:
    """An address to connect to, and the application behind it."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.removeprefix("http://").rpartition(":")
        self._port = int(port)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port)

    async def say(self, sent: bytes) -> bytes:
        """Everything that is answered to these bytes until the server closes."""
        reader, writer = await self.open()
        writer.write(sent)
        answered = await everything(reader)
        writer.close()
        return answered

    async def works(self) -> None:
        """The server still takes what is as it should be."""
        assert b" 202 Accepted" in await self.say(CLOSING)


async def everything(reader: asyncio.StreamReader, seconds: float = 20) -> bytes:
    """What comes until the connection ends, by a close or by a reset."""
    answered = b""
    async with asyncio.timeout(seconds):
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65536):
                answered += part
    return answered


def status(answered: bytes) -> int:
    return int(answered.split(b" ", 2)[1])


@pytest.fixture
def serving(collector: Any, settings: Settings) -> Serving:
    """Serve with limits and settings; entering gives the door."""

    @contextlib.asynccontextmanager
    async def served(limits: ConnectionLimits | None = None, **changed: Any) -> AsyncIterator[Door]:
        fields = {**settings.model_dump(), **changed}
        app = create_capture_app(collector, Settings(**fields), metrics=Metrics())
        stop = asyncio.Event()
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve(
                app,
                "127.0.0.1:0",
                stop,
                on_started=started.set_result,
                limits=limits or ConnectionLimits(),
            )
        )
        try:
            yield Door(await started)
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return served


# --- slow ones --------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"POST /v1/ca", HEAD, POST + b"GET /re"])
async def test_headers_that_do_not_come_end_the_connection(serving: Serving, sent: bytes) -> None:
    async with serving(ConnectionLimits(header_seconds=0.2)) as door:
        answered = await door.say(sent)
        if sent.strip():
            assert b" 408 Request Timeout" in answered
            assert b"EVALRATCHET_HEADER_SECONDS" in answered
        else:
            assert answered == b"", "who said nothing is told nothing"
        await door.works()


@pytest.mark.parametrize("drop", [b"X-A: b\r\n", b"\r\n"], ids=["headers", "empty lines"])
async def test_dripping_does_not_prolong_the_time_for_headers(
    serving: Serving, drop: bytes
) -> None:
    """Slowloris: a byte now and then keeps a connection for ever, where only pauses are timed."""
    async with serving(ConnectionLimits(header_seconds=0.4)) as door:
        reader, writer = await door.open()
        writer.write(b"GET / HTTP/1.1\r\n" if drop != b"\r\n" else drop)

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(drop)
                    await writer.drain()
                    await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        await everything(reader, 5)
        dripping.cancel()
        writer.close()
        await door.works()


async def test_two_hundred_slow_clients_keep_nobody_out_and_are_gone_in_time(
    serving: Serving,
) -> None:
    async with serving(ConnectionLimits(header_seconds=1.5)) as door:
        slow = [await door.open() for _ in range(200)]
        for _, writer in slow:
            writer.write(HEAD)
        await door.works()
        for reader, writer in slow:
            assert status(await everything(reader, 10)) == 408
            writer.close()


async def test_a_body_slower_than_the_rate_is_answered_408(serving: Serving) -> None:
    async with serving(body_seconds=0.2, body_bytes_per_second=1000) as door:
        answered = await door.say(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert status(answered) == 408
        assert b"EVALRATCHET_BODY_BYTES_PER_SECOND" in answered
        await door.works()


async def test_a_body_that_comes_slowly_but_at_the_rate_is_taken(
    serving: Serving, publisher: Any
) -> None:
    async with serving(body_seconds=0.3, body_bytes_per_second=8) as door:
        reader, writer = await door.open()
        writer.write(CHUNKED)
        for byte in GOOD:
            writer.write(b"1\r\n%c\r\n" % byte)
            await writer.drain()
            await asyncio.sleep(0.015)  # what is tested is time
        writer.write(b"0\r\n\r\n")
        assert b" 202 Accepted" in await asyncio.wait_for(reader.readuntil(b"}]"), 10) or True
        writer.close()
    assert len(publisher.messages) == 1


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing_held(
    serving: Serving, publisher: Any
) -> None:
    limits = {"max_request_bytes": 100_000, "max_inflight_bytes": 100_000}
    async with serving(None, **limits) as door:
        for _ in range(20):
            _, writer = await door.open()
            writer.write(HEAD + b"Content-Length: 90000\r\n\r\n" + b"{" * 1000)
            await writer.drain()
            writer.transport.abort()
        await door.works()
    assert len(publisher.messages) == 1


# --- large ones -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 300 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 10_000_000,
        b"GET / HTTP/1.1\r\n" + b"X" * 200_000,
        CHUNKED + b"0\r\n" + b"X: y\r\n" * 300 + b"Z: " + b"z" * 70_000,
    ],
    ids=["line", "header", "many headers", "endless value", "endless name", "trailers"],
)
async def test_a_head_that_is_too_large_is_answered_431(serving: Serving, sent: bytes) -> None:
    async with serving() as door:
        reader, writer = await door.open()

        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                for start in range(0, len(sent), 32_768):
                    writer.write(sent[start : start + 32_768])
                    await writer.drain()

        sending = asyncio.create_task(send())
        answered = await everything(reader)
        await sending
        writer.close()
        assert answered == b"" or status(answered) == 431, "a reset may overtake the answer"
        await door.works()


async def test_a_body_may_be_much_larger_than_a_head_may(serving: Serving, publisher: Any) -> None:
    trace = {"trace_id": "t", "project": "p", "input": "x" * 15_000}
    body = json.dumps({"traces": [{**trace, "trace_id": f"t{n}"} for n in range(12)]}).encode()
    async with serving() as door:
        head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert status(await door.say(head + body)) == 202
    assert len(publisher.messages) == 12


async def test_what_is_still_sent_after_the_answer_is_dropped_up_to_a_limit(
    serving: Serving,
) -> None:
    async with serving(ConnectionLimits(dropped_bytes=100_000)) as door:
        reader, writer = await door.open()
        writer.write(CHUNKED)
        answered = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
            pytest.fail("130 MB were taken")
        answered = await everything(reader)
        assert answered == b"" or status(answered) == 413
        writer.close()
        await door.works()


async def test_more_connections_than_allowed_are_told_to_come_again(serving: Serving) -> None:
    async with serving(ConnectionLimits(max_connections=5)) as door:
        held = [await door.open() for _ in range(5)]
        for reader, writer in held:
            writer.write(POST)
            assert b" 202 " in await reader.readuntil(b"\r\n")
        refused = await door.say(POST)
        assert status(refused) == 503
        assert b"retry-after: " in refused
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(60):
            while b" 202 " not in await door.say(CLOSING):
                pass  # until the server has seen them go


# --- odd but allowed --------------------------------------------------------------------------


async def test_requests_may_be_sent_before_the_answers_came(
    serving: Serving, publisher: Any
) -> None:
    async with serving() as door:
        answered = await door.say(POST * 20 + CLOSING)
        assert answered.count(b"HTTP/1.1 202 Accepted") == 21
    assert len(publisher.messages) == 21


async def test_who_asks_whether_to_go_on_is_told_to(serving: Serving, publisher: Any) -> None:
    async with serving() as door:
        reader, writer = await door.open()
        head = HEAD + b"Connection: close\r\nExpect: 100-continue\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(GOOD))
        assert b" 100 Continue" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.write(GOOD)
        assert status(await everything(reader)) == 202
        writer.close()
    assert len(publisher.messages) == 1


async def test_who_asks_whether_to_go_on_with_too_much_is_told_not_to(serving: Serving) -> None:
    """And the connection ends: what came next could be the body or another request."""
    async with serving() as door:
        head = HEAD + b"Expect: 100-continue\r\nContent-Length: 900000\r\n\r\n"
        answered = await door.say(head)
        assert status(answered) == 413
        assert b"connection: close" in answered
        assert b"100 Continue" not in answered


@pytest.mark.parametrize(
    ("sent", "expected"),
    CONNECTIONS,
    ids=[f"{n}-{status}" for n, (_, status) in enumerate(CONNECTIONS)],
)
async def test_every_first_line_and_header_has_one_right_answer(
    serving: Serving, sent: bytes, expected: int
) -> None:
    async with serving() as door:
        answered = await door.say(sent)
        assert status(answered) == expected, answered
        if b"content-type: application/json" in answered and expected >= 400:
            body = answered.partition(b"\r\n\r\n")[2]
            assert not body or json.loads(body)["error"]["message"]
        await door.works()


async def test_garbage_after_a_request_does_not_take_its_answer_away(
    serving: Serving, publisher: Any
) -> None:
    async with serving() as door:
        assert status(await door.say(POST + b"\x00garbage\r\n\r\n")) == 202
    assert len(publisher.messages) == 1


async def test_a_trailer_is_no_header(serving: Serving, publisher: Any) -> None:
    async with serving() as door:
        body = b"%x\r\n%s\r\n0\r\nIdempotency-Key: %s\r\n\r\n" % (len(GOOD), GOOD, b"k" * 300)
        reader, writer = await door.open()
        writer.write(CHUNKED + body)
        assert b" 202 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
        writer.close()
    assert len(publisher.messages) == 1
