"""A piece's body as it is kept: zstd, unless that does not make it smaller."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import cramjam
import zstandard

PLAIN, LZ4, ZSTD = 0, 1, 2
"""How a body is packed. LZ4 is only read: what was kept before zstd came."""

_SMALL = 256  # below this nothing is won: a feedback piece is about 200 bytes
_LEVEL = (
    1  # ten spans of 2.7 kB: 3.0 times smaller at 7.7 us a span (LZ4 2.1 at 6.5); level 3: 10.8
)
_INLINE_BYTES = 256 * 1024  # more than this goes to a thread: it is about 1 ms
_SPAN_HEX = 16  # digits of an OpenTelemetry span id

T = TypeVar("T")
U = TypeVar("U")


class _Packers(threading.local):
    """A context of zstd holds a megabyte, is made once a thread, and serves one thread at a time."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=_LEVEL)
        self.unpack = zstandard.ZstdDecompressor()


_packers = _Packers()


def pack(body: bytes) -> tuple[int, bytes]:
    """How the body is packed, and the packed body."""
    if len(body) >= _SMALL:
        packed = _packers.pack.compress(body)
        if len(packed) < len(body):
            return ZSTD, packed
    return PLAIN, body


def unpack(packing: int, body: bytes) -> bytes:
    """The body again."""
    if packing == ZSTD:
        return _packers.unpack.decompress(body)
    return bytes(cramjam.lz4.decompress_block(body)) if packing == LZ4 else body


def span_key(span_id: str) -> int:
    """64 bits that stand for a span, signed: of an OpenTelemetry id all of it, of others a hash."""
    if len(span_id) == _SPAN_HEX:
        try:
            number = int(span_id, 16)
        except ValueError:
            pass
        else:
            return number - (1 << 64) if number >> 63 else number
    digest = hashlib.blake2b(span_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


async def each(work: Callable[[T], U], items: Sequence[T], size: int) -> list[U]:
    """Do the work on every item; off the event loop when there are many bytes to work through."""
    if size <= _INLINE_BYTES:
        return [work(item) for item in items]
    return await asyncio.to_thread(lambda: [work(item) for item in items])
