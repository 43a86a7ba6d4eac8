"""Reading a request's body: bounded in bytes and time, decompressed while it comes."""

import asyncio
import zlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from services.http.inflate import Inflating, TooManyBytes
from services.http.inflight import Hold, hold_of
from services.http.problem import Problem

T = TypeVar("T")

ENCODINGS = ("gzip", "deflate", "identity")
_THREAD_BYTES = 1 << 20  # a body that takes the event loop longer than a few milliseconds to decode
_STEPS_A_TURN = 4  # of decompression, before others get their turn


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The body, decompressed.

    Raises:
        Problem: 413 over `max_bytes` after decompression, 415 on an unknown encoding, 400 on one that
            is broken, 408 when it comes too slowly, 503 when the bodies in hand are too many bytes.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding not in ENCODINGS:
        message = f"Content-Encoding {encoding[:80]!r} is not read here; send gzip, deflate or none"
        headers = {"accept-encoding": ", ".join(ENCODINGS)}
        raise Problem(415, "unsupported_media_type", message, headers=headers)
    hold = hold_of(request)
    try:
        announced = _announced(request, max_bytes)
        if encoding == "identity":
            return await _plain(request, hold, announced, max_bytes)
        return await _unpacked(request, hold, encoding, max_bytes)
    except TooManyBytes as error:
        message = (
            f"The body has more than {max_bytes} bytes after decompression, the most that is taken "
            "in one request (EVALRATCHET_MAX_REQUEST_BYTES): send it in smaller batches"
        )
        raise Problem(413, "too_large", message, detail={"max_request_bytes": max_bytes}) from error
    except zlib.error as error:
        message = f"The body is not the {encoding} that its Content-Encoding says: {error}"
        raise Problem(400, "malformed", message) from error


async def off_the_loop(size: int, work: Callable[[], T]) -> T:
    """Do the work in a thread when so many bytes would keep the event loop from its heartbeats."""
    return work() if size < _THREAD_BYTES else await asyncio.to_thread(work)


def _announced(request: Request, max_bytes: int) -> int:
    """The length that the client says the body has, 0 when it says none. Raises `TooManyBytes`."""
    said = request.headers.get("content-length", "")
    announced = int(said[:20]) if said.isascii() and said.isdigit() else 0
    if announced > max_bytes:
        raise TooManyBytes
    return announced


async def _plain(request: Request, hold: Hold, announced: int, max_bytes: int) -> bytes:
    """The body as sent. Its place in the budget is taken before it is read, where its length is known.

    One that turns out to be too large is answered at once; the server takes and drops what the
    client still sends (services/http/connection.py), because a client that is cut off while it
    sends never sees the answer.
    """
    hold.grow(announced)
    arriving = _Arriving(request, hold)
    chunks: list[bytes] = []
    while (chunk := await arriving.next()) is not None:
        if arriving.size > max_bytes:
            raise TooManyBytes
        if arriving.size > hold.bytes:
            hold.grow(arriving.size - hold.bytes)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _unpacked(request: Request, hold: Hold, encoding: str, max_bytes: int) -> bytes:
    """The body decompressed while it comes: what is held of it is what is unpacked."""
    arriving = _Arriving(request, hold)
    inflating = Inflating(encoding, max_bytes, on_grown=hold.grow)
    turn = 0
    while (chunk := await arriving.next()) is not None:
        if arriving.size > max_bytes:
            raise TooManyBytes
        inflating.feed(chunk)
        while inflating.step():
            turn += 1
            if turn % _STEPS_A_TURN == 0:
                await asyncio.sleep(0)  # a bomb takes 80 steps: others are served between them
    return inflating.result()


class _Arriving:
    """A body as it comes, no slower than it may."""

    def __init__(self, request: Request, hold: Hold) -> None:
        self._receive = request.receive
        self._hold = hold
        self._more = True
        self._deadline = asyncio.get_running_loop().time() + hold.grace_seconds
        self.size = 0

    async def next(self) -> bytes | None:
        """The next bytes, None after the last. Raises `Problem` 408, `ClientDisconnect`."""
        while self._more:
            allowed = self._deadline + self.size / self._hold.min_bytes_per_second
            try:
                async with asyncio.timeout_at(allowed):
                    message = await self._receive()
            except TimeoutError as error:
                said = (
                    f"The body comes too slowly: {self.size} bytes in "
                    f"{allowed - self._deadline + self._hold.grace_seconds:.0f} s, and at least "
                    f"{self._hold.min_bytes_per_second} bytes a second are expected after the first "
                    f"{self._hold.grace_seconds:g} s (EVALRATCHET_BODY_BYTES_PER_SECOND)"
                )
                raise Problem(408, "timeout", said, headers={"connection": "close"}) from error
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._more = message.get("more_body", False)
            body: bytes = message.get("body", b"")
            if body:
                self.size += len(body)
                return body
        return None
