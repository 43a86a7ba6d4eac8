"""Reading a request's body: bounded in bytes and time, decompressed, never more than allowed."""

import asyncio
import zlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from services.http.problem import Problem

T = TypeVar("T")

ENCODINGS = ("gzip", "deflate", "identity")
_READ_SECONDS = 60.0  # for a body to arrive; 20 MiB over a slow line
_THREAD_BYTES = 1 << 20  # a body that takes the event loop longer than a few milliseconds to decode
_STEP = 1 << 20  # bytes that are decompressed at a time
_MOST_MEMBERS = 64  # of one gzip body; clients send one, and each costs a copy of those after it
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's names for the three formats: window bits


class TooManyBytes(Exception):
    """More bytes than are taken, found out before they were all unpacked."""


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The body, decompressed.

    Raises:
        Problem: 413 over `max_bytes` after decompression, 415 on an unknown encoding, 400 on one that
            is broken, 408 when it does not arrive.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding not in ENCODINGS:
        message = f"Content-Encoding {encoding[:80]!r} is not read here; send gzip, deflate or none"
        headers = {"accept-encoding": ", ".join(ENCODINGS)}
        raise Problem(415, "unsupported_media_type", message, headers=headers)
    try:
        async with asyncio.timeout(_READ_SECONDS):
            body = await _arrived(request, max_bytes)
        if encoding == "identity":
            return body
        return await off_the_loop(len(body), lambda: decompressed(body, encoding, max_bytes))
    except TimeoutError as error:
        message = f"The body did not arrive within {_READ_SECONDS:g} s"
        raise Problem(408, "timeout", message) from error
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


async def _arrived(request: Request, max_bytes: int) -> bytes:
    """The bytes as sent.

    A length that is announced and too large is answered before the body comes; the server drops
    what is sent all the same. One that is not announced is still read, up to as much again, and
    dropped: a client that is cut off while it sends never sees the answer.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > max_bytes:
        raise TooManyBytes
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= max_bytes:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > 2 * max_bytes:
            break
    if size > max_bytes:
        raise TooManyBytes
    return b"".join(chunks)


def decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its `gzip` or `deflate`, in memory that `max_bytes` bounds.

    `deflate` is zlib's format by the standard and bare deflate by habit; both are read.

    Raises:
        TooManyBytes: before more than `max_bytes` and one step were unpacked.
        zlib.error: broken, incomplete, or followed by something else.
    """
    window = _GZIP if encoding == "gzip" else _ZLIB if _has_zlib_header(body) else _RAW
    parts: list[bytes] = []
    size = 0
    rest = body
    for _ in range(_MOST_MEMBERS):
        stream = zlib.decompressobj(window)
        while not stream.eof:
            part = stream.decompress(rest, min(_STEP, max_bytes - size + 1))
            size += len(part)
            if size > max_bytes:
                raise TooManyBytes
            parts.append(part)
            rest = stream.unconsumed_tail
            if not part and not rest and not stream.eof:
                message = "it ends before it is complete"
                raise zlib.error(message)
        rest = stream.unused_data.lstrip(b"\0")  # gzip allows padding with zeros
        if not rest:
            return b"".join(parts)
        if encoding != "gzip":
            message = "there is something after its end"
            raise zlib.error(message)
    message = f"it has more than {_MOST_MEMBERS} members"
    raise zlib.error(message)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0  # noqa: PLR2004 - RFC 1950
