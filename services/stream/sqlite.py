"""The embedded stream: topics in one SQLite file, one partition each.

Several processes may have the file open, and append; a group is read by one source at a time.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from services.errors import Unavailable
from services.stream import sqlite_log as log
from services.stream.port import Lag, Message, Record, Source, TopicSettings
from services.stream.size import refuse_too_large
from services.stream.sqlite_thread import SqliteThread

_POLL_SECONDS = 0.05  # how late another process' records are seen; asking costs 60 us of CPU
_SWEEP_SECONDS = 60.0  # retention is in days: a minute more does not matter


class SqliteStream:
    """A stream in a SQLite file. See the port for what the methods promise."""

    def __init__(
        self,
        path: Path,
        *,
        retention_ms: int,
        max_message_bytes: int,
        sweep_seconds: float = _SWEEP_SECONDS,
    ) -> None:
        """Name the file that `start` opens. `retention_ms` is for topics that nobody applied."""
        self._path = path
        self._retention_ms = retention_ms
        self._max_message_bytes = max_message_bytes
        self._sweep_seconds = sweep_seconds
        self._writer: SqliteThread | None = None
        self._reader: SqliteThread | None = None
        self._sources: set[SqliteSource] = set()
        self._waiting = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger().bind(stream=str(path))

    async def start(self) -> None:
        """Open the file, and make it where there is none."""
        if self._writer is not None:
            return
        writer = SqliteThread(self._path, writes=True)
        try:
            await writer.run(log.migrate)
        except BaseException:
            await writer.close()
            raise
        self._writer, self._reader = writer, SqliteThread(self._path, writes=False)
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._sweep())]

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        for source in list(self._sources):
            await source.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for thread in (self._reader, self._writer):
            if thread is not None:
                await thread.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append; what concurrent callers append is committed together."""
        if not messages:
            return
        refuse_too_large(messages, self._max_message_bytes)
        await self.writer.run(lambda db: log.append(db, messages, self._retention_ms))
        topics = {message.topic for message in messages}
        for source in self._sources:
            if source.topic in topics:
                source.wake()

    def source(self, topic: str, group: str) -> Source:
        """A group's position in a topic."""
        source = SqliteSource(self, topic, group)
        self._sources.add(source)
        return source

    async def apply_topics(self, topics: Sequence[TopicSettings]) -> Mapping[str, str]:
        """Create topics, and set the retention of those that are there."""
        return {
            topic.name: await self.writer.run(lambda db, topic=topic: log.apply(db, topic))  # type: ignore[misc]
            for topic in topics
        }

    async def lag(self, topic: str, group: str) -> Lag:
        """Where a group stands."""
        return await self.reader.run(lambda db: log.lag(db, topic, group))

    async def browse(self, topic: str, *, limit: int) -> Sequence[Record]:
        """The newest records, oldest first."""
        return await self.reader.run(lambda db: log.newest(db, topic, limit))

    async def read_one(self, topic: str, partition: int, offset: int) -> Record | None:
        """One record by its place."""
        if partition != 0 or offset < 0:
            return None
        records = await self.reader.run(lambda db: log.read(db, topic, offset, 1))
        return records[0] if records and records[0].offset == offset else None

    @property
    def writer(self) -> SqliteThread:
        """The thread that writes. Raises `Unavailable` before `start`."""
        return self._started(self._writer)

    @property
    def reader(self) -> SqliteThread:
        """The thread that reads. Raises `Unavailable` before `start`."""
        return self._started(self._reader)

    def _started(self, thread: SqliteThread | None) -> SqliteThread:
        if thread is None:
            message = f"the stream {self._path} is not started"
            raise Unavailable(message)
        return thread

    def expect(self) -> None:
        """A source waits: look out for what other processes append."""
        self._waiting.set()

    def forget(self, source: "SqliteSource") -> None:
        """A source was closed."""
        self._sources.discard(source)

    async def _poll(self) -> None:
        """Wake the sources that wait when the file has changed. While none waits nothing is done."""
        seen = -1
        while True:
            if not any(source.waits for source in self._sources):
                self._waiting.clear()
            await self._waiting.wait()
            with suppress(Unavailable):
                if seen != (seen := await self.reader.run(log.changes)):
                    for source in self._sources:
                        source.wake()
            await asyncio.sleep(_POLL_SECONDS)

    async def _sweep(self) -> None:
        """Delete what is past its retention, in pieces small enough that nobody waits for them."""
        more = False
        while True:
            await asyncio.sleep(_POLL_SECONDS if more else self._sweep_seconds)
            try:
                more = await self.writer.run(lambda db: log.sweep(db, time.time_ns() // 1_000_000))
            except Unavailable as error:
                self._log.warning("retention_waits", why=str(error))


class SqliteSource:
    """One group's way through one topic."""

    def __init__(self, stream: SqliteStream, topic: str, group: str) -> None:
        """Read nothing yet: the position is looked up by the first fetch."""
        self.topic = topic
        self.waits = False
        self._stream = stream
        self._group = group
        self._next: int | None = None
        self._joined = False
        self._arrived = asyncio.Event()

    def wake(self) -> None:
        """Look again: something may have been appended."""
        self._arrived.set()

    async def fetch(self, *, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Records after those fetched before; waits for the first one only."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + wait_seconds
        if not self._joined:
            await self._stream.writer.run(lambda db: log.join(db, self.topic, self._group))
            self._joined = True
        if self._next is None:
            self._next = await self._stream.reader.run(
                lambda db: log.position(db, self.topic, self._group)
            )
        while True:
            self._arrived.clear()
            start = self._next
            records = await self._stream.reader.run(
                lambda db, start=start: log.read(db, self.topic, start, limit)  # type: ignore[misc]
            )
            if records:
                self._next = records[-1].offset + 1
                return records
            self.waits = True
            self._stream.expect()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._arrived.wait()
            except TimeoutError:
                return []
            finally:
                self.waits = False

    async def commit(self, records: Sequence[Record]) -> None:
        """Remember durably that these are done."""
        if records:
            done = max(record.offset for record in records) + 1
            await self._stream.writer.run(lambda db: log.commit(db, self.topic, self._group, done))

    async def close(self) -> None:
        """Leave."""
        self._stream.forget(self)
