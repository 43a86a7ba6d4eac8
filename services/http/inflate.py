"""Decompressing a body while it streams in, in memory that a limit bounds."""

import zlib
from collections.abc import Callable

STEP = 1 << 18  # bytes that are decompressed at a time: a fraction of a millisecond
_MOST_MEMBERS = 64  # of one gzip body; clients send one, and each costs a copy of those after it
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's names for the three formats: window bits
_ZLIB_HEADER = 2  # bytes that tell zlib's format from bare deflate


class TooManyBytes(Exception):
    """More bytes than are taken, found out before they were all unpacked."""


class Inflating:
    """One `gzip` or `deflate` body.

    `deflate` is zlib's format by the standard and bare deflate by habit; both are read.
    """

    def __init__(
        self, encoding: str, max_bytes: int, on_grown: Callable[[int], None] = lambda _: None
    ) -> None:
        """`on_grown` is called with the bytes by which the result grew; what it raises is raised."""
        self._gzip = encoding == "gzip"
        self._max_bytes = max_bytes
        self._on_grown = on_grown
        self._parts: list[bytes] = []
        self._size = 0
        self._members = 0
        self._stream: zlib._Decompress | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes as sent; `step` unpacks them."""
        self._rest = self._rest + data if self._rest else data

    def step(self) -> bool:
        """Unpack a little of what was fed; whether there is more to unpack.

        Raises:
            TooManyBytes: before more than `max_bytes` and one step were unpacked.
            zlib.error: broken, or followed by something else.
        """
        if self._stream is None and not self._begin():
            return False
        assert self._stream is not None  # noqa: S101 - `_begin` made it
        part = self._stream.decompress(self._rest, min(STEP, self._max_bytes - self._size + 1))
        self._rest = self._stream.unconsumed_tail
        if part:
            self._size += len(part)
            if self._size > self._max_bytes:
                self._parts.clear()
                raise TooManyBytes
            self._on_grown(len(part))
            self._parts.append(part)
        if self._stream.eof:
            self._rest = self._stream.unused_data
            self._stream = None
            return bool(self._rest)
        return bool(self._rest) or len(part) == STEP

    def result(self) -> bytes:
        """The whole body. Raises `zlib.error` when it ended before it was complete."""
        while self.step():
            pass
        if self._stream is not None or not self._members:
            message = "it ends before it is complete"
            raise zlib.error(message)
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _begin(self) -> bool:
        """Begin a member; False when there is nothing to begin with yet."""
        if self._members:
            self._rest = self._rest.lstrip(b"\0")  # gzip allows padding with zeros
        if not self._rest:
            return False
        if self._members and not self._gzip:
            message = "there is something after its end"
            raise zlib.error(message)
        if not self._gzip and len(self._rest) < _ZLIB_HEADER:
            return False
        if self._members == _MOST_MEMBERS:
            message = f"it has more than {_MOST_MEMBERS} members"
            raise zlib.error(message)
        self._members += 1
        window = _GZIP if self._gzip else _ZLIB if _has_zlib_header(self._rest) else _RAW
        self._stream = zlib.decompressobj(window)
        return True


def decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its `gzip` or `deflate`. Raises `TooManyBytes`, `zlib.error`."""
    inflating = Inflating(encoding, max_bytes)
    inflating.feed(body)
    return inflating.result()


def _has_zlib_header(body: bytes) -> bool:
    return body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0  # noqa: PLR2004 - RFC 1950
