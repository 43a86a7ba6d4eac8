"""Clients of a capture endpoint that cost little: bare sockets, one request at a time on each."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from peers.agent_spans import Template, stamped

_ANSWER_SECONDS = 120.0
_BUSY = {429, 502, 503, 504}  # OTLP's retryable answers


class Target(NamedTuple):
    """Where requests go."""

    host: str
    port: int
    path: str = "/v1/traces"
    headers: Mapping[str, str] = {}


class Sent(NamedTuple):
    """What a load did: first span numbers of the acknowledged requests, refusals, and seconds taken."""

    acknowledged: list[int]
    refused: int
    seconds: float


class Connection:
    """One connection, opened when it is needed, and again after an answer that closes it."""

    def __init__(self, target: Target) -> None:
        """Connect to nothing yet."""
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        named = {
            "host": f"{target.host}:{target.port}",
            "content-type": "application/x-protobuf",
            **target.headers,
        }
        lines = [
            f"POST {target.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in named.items()),
        ]
        self._head = "\r\n".join(lines) + "\r\ncontent-length: "

    async def post(self, body: bytes | bytearray) -> int:
        """The status that the request was answered with. Raises OSError when the server goes away."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._target.host, self._target.port)
        reader, writer = self._streams
        writer.write(f"{self._head}{len(body)}\r\n\r\n".encode())
        writer.write(body)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await writer.drain()
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await _skip_body(reader, head)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise ConnectionError(*error.args) from error
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _skip_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while (size := int(await reader.readline(), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
        return
    _, has, after = head.partition(b"content-length:")
    if has:
        await reader.readexactly(int(after.split(b"\r\n", 1)[0]))


async def saturate(
    target: Target,
    pool: Sequence[Template],
    *,
    first: int,
    connections: int,
    seconds: float | None = None,
    requests: int | None = None,
    stop: asyncio.Event | None = None,
) -> Sent:
    """Post as fast as the answers come: for so many seconds, so many requests, or until told to stop.

    A connection that breaks ends; a request without an answer is not acknowledged.
    """
    numbers = iter(range(first, 1 << 60, pool[0].spans))
    began = time.perf_counter()
    acknowledged: list[int] = []
    refused = 0
    left = requests if requests is not None else 1 << 60

    async def post() -> None:
        nonlocal refused, left
        connection = Connection(target)
        with contextlib.suppress(OSError):
            while left > 0 and not (stop is not None and stop.is_set()):
                if seconds is not None and time.perf_counter() - began >= seconds:
                    break
                left -= 1
                number = next(numbers)
                status = await connection.post(stamped(pool, number))
                if 200 <= status < 300:
                    acknowledged.append(number)
                elif status in _BUSY:
                    refused += 1
                else:
                    message = f"{target.path} answered {status} to a good request"
                    raise RuntimeError(message)
        connection.close()

    await asyncio.gather(*(post() for _ in range(connections)))
    return Sent(acknowledged, refused, time.perf_counter() - began)


async def steady(
    target: Target, pool: Sequence[Template], *, first: int, rate: int, count: int, connections: int
) -> list[float]:
    """Milliseconds of each post, sent at a steady rate whatever the answers do.

    A wait counts from the moment the post was due, so that a server that stalls is not spared the
    posts it held up. The first tenth warms up and is left out.
    """
    spans = pool[0].spans
    bodies = [stamped(pool, first + n * spans) for n in range(count)]
    start = time.perf_counter() + 0.5
    waited: list[float] = []

    async def post(of: int) -> None:
        connection = Connection(target)
        for number in range(of, count, connections):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status = await connection.post(bodies[number])
            if not 200 <= status < 300:
                message = f"{target} answered {status}"
                raise RuntimeError(message)
            waited.append((time.perf_counter() - due) * 1000)
        connection.close()

    await asyncio.gather(*(post(n) for n in range(connections)))
    return waited[count // 10 :]
