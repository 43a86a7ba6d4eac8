"""The real server on a real socket."""

import asyncio
import contextlib
import gzip
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.collector import Collector
from services.errors import Unavailable
from services.http.app import create_capture_app
from services.http.server import serve
from services.redaction import Unredacted
from services.settings import Settings
from services.stream import envelope
from services.stream.open import open_stream
from services.stream.topics import Topics
from services.telemetry import Metrics

Served = Callable[..., contextlib.AbstractAsyncContextManager[str]]

SMALL = {"trace_id": "t", "project": "p"}


async def exchange(url: str, sent: bytes) -> bytes:
    """Write bytes to the server as they are, end our side, and read what it answers."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


@pytest.fixture
async def url(served: Served) -> AsyncIterator[str]:
    async with served() as address:
        yield address


async def test_it_answers_over_both_families_and_says_nothing_of_itself(served: Served) -> None:
    addresses = ["127.0.0.1:0", "localhost:0"]
    if socket.has_ipv6:
        addresses.append("[::1]:0")
    for listen in addresses:
        async with served(listen) as url, httpx.AsyncClient(base_url=url) as client:
            response = await client.post("/v1/captures", json=SMALL)
            assert response.status_code == 202
            assert "server" not in response.headers


async def test_an_address_that_is_taken_or_unknown_is_said_clearly(served: Served) -> None:
    async with served() as url:
        with pytest.raises(Unavailable, match="EVALRATCHET_LISTEN"):
            await serve(lambda: None, url.removeprefix("http://"), asyncio.Event())
    with pytest.raises(Unavailable, match=r"cannot listen on no\.such\.host\.invalid:1"):
        await serve(lambda: None, "no.such.host.invalid:1", asyncio.Event())


async def test_the_processes_own_signal_handlers_stay(served: Served) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    async with served() as url, httpx.AsyncClient() as client:
        await client.get(url)
        during = {number: signal.getsignal(number) for number in before}
    assert during == before
    assert {number: signal.getsignal(number) for number in before} == before


async def test_stopping_answers_what_was_accepted(
    served: Served, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, proceed, publish = asyncio.Event(), asyncio.Event(), publisher.publish

    async def slow(messages: Any) -> None:
        began.set()
        await proceed.wait()
        await publish(messages)

    monkeypatch.setattr(publisher, "publish", slow)
    async with httpx.AsyncClient() as client:
        async with served() as url:
            post = asyncio.create_task(client.post(f"{url}/v1/captures", json=SMALL))
            await began.wait()
            asyncio.get_running_loop().call_later(0.3, proceed.set)
        assert (await post).status_code == 202
    assert len(publisher.messages) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/captures HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /v1/captures HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/captures HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST /v1/captures HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["half a body", "bad chunk", "half a chunk", "bad length", "garbage", "TLS", "huge header"],
)
async def test_a_broken_connection_stores_nothing_and_harms_nobody(
    url: str, publisher: Any, sent: bytes
) -> None:
    with contextlib.suppress(ConnectionError):
        answer = await exchange(url, sent)
        assert b" 500 " not in answer
        assert b" 202 " not in answer
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/v1/captures", json=SMALL)).status_code == 202
    assert len(publisher.messages) == 1


@pytest.mark.parametrize("path", ["/v1/captures", "/v1/traces"])
async def test_a_length_over_the_limit_is_answered_before_the_body_comes(
    url: str, path: str
) -> None:
    """And the connection still takes what is sent, and the next request after it."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 500000\r\n\r\n".encode())
    assert b" 413 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.write(b"x" * 500_000)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 200 OK" in await asyncio.wait_for(reader.read(), 10)
    writer.close()


async def unannounced() -> AsyncIterator[bytes]:
    """A body over the limit in chunks: its length is not known before its end."""
    for _ in range(5):
        yield b"x" * 70_000


async def test_a_body_over_the_limit_is_answered_though_it_is_still_being_sent(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/v1/captures", content=b"x" * 350_000)
        assert response.status_code == 413
        assert response.json()["error"]["detail"] == {"max_request_bytes": 200_000}
        response = await client.post("/v1/captures", content=unannounced())
        assert response.status_code == 413
        bomb = gzip.compress(bytes(50 << 20))
        response = await client.post(
            "/v1/captures", content=bomb, headers={"content-encoding": "gzip"}
        )
        assert response.status_code == 413


async def test_a_chunked_body_is_read_whole(url: str, publisher: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in json.dumps(SMALL).encode():
            yield bytes([byte])

    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/v1/captures", content=chunks())
    assert response.status_code == 202
    assert publisher.events[0].trace_id == "t"


async def test_a_hundred_clients_at_once_lose_nothing(url: str, publisher: Any) -> None:
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        posts = [
            client.post("/v1/captures", json={**SMALL, "trace_id": f"t{number}"})
            for number in range(200)
        ]
        responses = await asyncio.gather(*posts)
    assert {response.status_code for response in responses} == {202}
    assert {event.trace_id for event in publisher.events} == {f"t{n}" for n in range(200)}


async def test_acknowledged_traces_are_in_the_real_stream(
    served: Served, tmp_path: Path, otlp_requests: list[bytes]
) -> None:
    """The embedded stream: what was answered with 2xx is read back by whoever opens the file next."""
    settings = Settings(home=tmp_path)
    topics = Topics()
    stream = open_stream(settings)
    await stream.start()
    await stream.apply_topics(
        topics.all(partitions=4, retention_ms=10**9, max_trace_bytes=settings.max_trace_bytes)
    )
    limit = topics.max_message_bytes(settings.max_trace_bytes)
    collector = Collector(stream, Unredacted(), topic=topics.traces(), max_message_bytes=limit)
    app = create_capture_app(collector, settings, metrics=Metrics())
    acknowledged: set[str] = set()
    async with served("127.0.0.1:0", app) as url, httpx.AsyncClient(base_url=url) as client:
        batch = {"traces": [{**SMALL, "trace_id": f"t{number}"} for number in range(50)]}
        results = (await client.post("/v1/captures", json=batch)).json()["results"]
        acknowledged.update(result["trace_id"] for result in results)
        headers = {"content-type": "application/json"}
        for body in otlp_requests:
            response = await client.post("/v1/traces", content=body, headers=headers)
            assert response.status_code == (200 if b"resourceSpans" in body[:100] else 400)
    await stream.close()
    again = open_stream(settings)
    await again.start()
    source = again.source(topics.traces(), "reader")
    records = await source.fetch(limit=1000, wait_seconds=5)
    found = {envelope.decode(record).trace_id for record in records}
    assert acknowledged < found
    assert len(found) >= 50 + 20
    await source.close()
    await again.close()
