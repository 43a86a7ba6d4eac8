"""The spool: a bounded folder of segments, appended at one end and sent from the other."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import structlog

from services.errors import Unavailable
from services.spool.segment import Kept, Segment
from services.stream.port import Message

_SEGMENT_BYTES = 64 << 20  # what is sent is given back to the disk in pieces of this size at most
_LEAST_SEGMENTS = 8  # so that a small spool is given back in pieces too
_DIGITS = 8  # of a file's number: their names sort as they were begun
_READ_MESSAGES = 500
_READ_BYTES = 1 << 20  # one or two of a Kafka producer's batches
_ON_DISK = 2  # what is appended is in SQLite's log first, and then in its file as well
_BESIDE_BYTES = 200  # of a message in the file: headers, key, numbers


class SpoolFull(Unavailable):
    """The spool takes nothing more until some of it is sent."""


class Spool:
    """Messages on disk, first in, first out. For one process, and one caller of `read` and `drop`."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Keep at most `max_bytes` of disk in `folder`, which `start` makes."""
        self.folder = folder
        self.max_bytes = max_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, max_bytes // _LEAST_SEGMENTS)
        self._segments: deque[Segment] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._number = 0
        self._log = structlog.get_logger().bind(spool=str(folder))
        self.set_aside = 0
        self.damaged_messages = 0

    async def start(self) -> None:
        """Take up what an earlier process left. Raises OSError when the folder cannot be used."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # traces are the users' own words, redacted or not
        for path in sorted(self.folder.glob(f"spool-{'[0-9]' * _DIGITS}.db")):
            segment = Segment(path)
            self._number = max(self._number, int(path.stem.removeprefix("spool-")))
            try:
                await segment.load()
            except Unavailable as error:
                await self._put_aside(segment, str(error))
                continue
            await segment.close()  # only the first and the last need their thread
            self._segments.append(segment)
        if self.waiting:
            self._log.warning("spool_found", messages=self.waiting, bytes=self.disk_bytes())

    async def close(self) -> None:
        """Let go of the files."""
        await asyncio.gather(*self._closing)
        for segment in self._segments:
            await segment.close()

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent."""
        return sum(segment.waiting for segment in self._segments)

    @property
    def oldest_ms(self) -> int | None:
        """When the message that waits longest was taken, in milliseconds since the epoch."""
        return next((s.state.oldest_ms for s in self._segments if s.waiting), None)

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing is being appended."""
        return not any(segment.waiting or segment.appending for segment in self._segments)

    def disk_bytes(self) -> int:
        """What the spool takes on the disk; what was set aside is not counted."""
        return sum(segment.disk_bytes for segment in self._segments)

    async def append(self, messages: Sequence[Message]) -> None:
        """Return when they are on the disk. Raises `SpoolFull`, with nothing appended."""
        size = sum(len(one.value) + len(one.key) + _BESIDE_BYTES for one in messages)
        used = self.disk_bytes()
        merged = sum(segment.log_bytes for segment in self._segments)
        if used + merged + _ON_DISK * size > self.max_bytes:
            text = (
                f"the spool {self.folder} is full: {used} of {self.max_bytes} bytes "
                "(EVALRATCHET_SPOOL_BYTES), and the stream takes nothing just now"
            )
            raise SpoolFull(text)
        segment = self._last()
        try:
            await segment.append(messages)
        except Unavailable as error:
            if not _is_damage(error):
                text = f"the spool {self.folder} cannot be written to: {error.__cause__ or error}"
                raise SpoolFull(text) from error
            # appended to no more; what can be read of it is sent all the same
            if self._segments and self._segments[-1] is segment:
                self._log.exception("spool_file_damaged", file=str(segment.path))
                segment.damaged = True
                self._begin()
            await self._last().append(messages)

    async def read(self) -> list[Kept]:
        """The messages to be sent next, in order; none when nothing waits.

        A file that cannot be read is set aside, and the next one is read.
        """
        while self._segments:
            segment = self._segments[0]
            kept: list[Kept] = []
            try:
                if segment.waiting:
                    kept = await segment.read(limit=_READ_MESSAGES, max_bytes=_READ_BYTES)
            except Unavailable as error:
                if (
                    segment.appending
                ):  # whoever appends finds out by itself, and begins another file
                    raise
                self._forget(segment)
                await self._put_aside(segment, str(error))
                continue
            lost = [one.number for one in kept if one.message is None]
            if lost:
                segment.damaged = True
                self.damaged_messages += len(lost)
                self._log.error("spool_messages_damaged", file=str(segment.path), numbers=lost[:20])
            if kept:
                return kept
            if segment.appending:
                return []
            self._forget(segment)
            await self._done_with(segment)
        return []

    async def drop(self, last: int) -> None:
        """Everything that `read` gave, up to this number, is sent."""
        segment = self._segments[0]
        try:
            await segment.drop(last)
        except Unavailable as error:  # sent again after a restart, which readers absorb
            self._log.warning("spool_position_not_kept", file=str(segment.path), why=str(error))

    def _last(self) -> Segment:
        """The segment to append to; begins another when it is large."""
        if not self._segments:
            self._begin()
        segment = self._segments[-1]
        if segment.damaged or segment.disk_bytes >= self._segment_bytes:
            self._begin()
            # what is asked of it before is done; its log is merged and gone then
            closing = asyncio.create_task(segment.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return self._segments[-1]

    def _begin(self) -> None:
        self._number += 1
        self._segments.append(Segment(self.folder / f"spool-{self._number:0{_DIGITS}d}.db"))

    def _forget(self, segment: Segment) -> None:
        self._segments.remove(segment)

    async def _done_with(self, segment: Segment) -> None:
        """Everything in it is sent: delete it, unless a person should look at it."""
        if segment.damaged:
            await self._put_aside(segment, "some of its messages are not what was written")
            return
        try:
            await segment.remove()
        except OSError as error:
            self._log.warning("spool_file_not_deleted", file=str(segment.path), why=str(error))

    async def _put_aside(self, segment: Segment, why: str) -> None:
        self.set_aside += 1
        try:
            kept = str(await segment.set_aside())
        except OSError as error:
            kept = f"{segment.path}, it could not be moved: {error}"
        self._log.error(
            "spool_file_set_aside",
            why=why,
            kept=kept,
            what_to_do="mend it, move it back under its old name and start again; else delete it",
        )


def _is_damage(error: Unavailable) -> bool:
    """Whether the file itself is at fault and another one would do: not a full disk, not a lock."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.OperationalError):
        return "readonly" in str(cause)
    return isinstance(cause, sqlite3.DatabaseError)
