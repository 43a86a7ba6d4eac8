"""One file of the spool: messages in the order in which they came, and how many of them are sent.

A SQLite file, for what SQLite promises of a commit: all of it is there after a SIGKILL or a power cut,
or nothing; a full disk rolls it back (`docs/decisions/0017-sidecar-spool.md`). Rows are only ever
appended. A file whose messages are all sent is deleted as a whole.
"""

import asyncio
import os
import sqlite3
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from services.errors import Unavailable
from services.stream.port import Headers, Message
from services.stream.sqlite_thread import SqliteThread

_LEAST_BYTES = 512  # SQLite's smallest page
SUFFIXES = ("", "-wal", "-shm")
"""What SQLite adds to a file's name, for its files beside it."""

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS message (
        id INTEGER PRIMARY KEY, -- 1, 2, 3 without gaps
        topic TEXT NOT NULL,
        key BLOB NOT NULL,
        value BLOB NOT NULL,
        headers BLOB NOT NULL,
        timestamp_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS sent (one INTEGER PRIMARY KEY, up_to INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO sent VALUES (1, 0)",
)
_headers_out = msgspec.msgpack.Encoder()
_headers_in = msgspec.msgpack.Decoder(Headers)


class Kept(msgspec.Struct, frozen=True):
    """A message in its place; None instead of a message that is not what was written."""

    number: int
    message: Message | None


class State(msgspec.Struct, frozen=True):
    """How far a file is: the last number written, the last one sent, and since when the next one waits."""

    written: int = 0
    sent: int = 0
    oldest_ms: int | None = None


class Segment:
    """One file. Nothing is opened before it is used."""

    def __init__(self, path: Path) -> None:
        """Name the file, which is made by the first append."""
        self.path = path
        self.state = State()
        self.appending = 0
        self.disk_bytes = 0
        self.log_bytes = 0
        self.damaged = False
        self._tables_made = False
        self._thread: SqliteThread | None = None

    @property
    def waiting(self) -> int:
        """How many messages are not sent yet."""
        return self.state.written - self.state.sent

    def measure(self) -> None:
        """Look how much it takes on the disk, with the files beside it."""
        self.disk_bytes = sum(_size(f"{self.path}{suffix}") for suffix in SUFFIXES)
        self.log_bytes = _size(f"{self.path}-wal")

    async def load(self) -> None:
        """Find out how far an existing file is. Raises `Unavailable` when it cannot be used."""
        if 0 < _size(str(self.path)) < _LEAST_BYTES:  # SQLite would begin it anew
            message = f"{self.path} was cut off"
            raise Unavailable(message)
        self.state = await self._open().run(_state)
        self._tables_made = True
        self.measure()

    async def append(self, messages: Sequence[Message]) -> None:
        """Return when they are on the disk; what concurrent callers append shares a commit.

        Raises `Unavailable`, with nothing appended.
        """
        make = not self._tables_made

        def work(db: sqlite3.Connection) -> tuple[int, int]:
            if make:
                _make(db, self.path.parent)
            return _append(db, messages)

        self.appending += 1
        try:
            last, now_ms = await self._open().run(work)
        finally:
            self.appending -= 1
            self.measure()
        self._tables_made = True
        oldest = now_ms if self.state.oldest_ms is None else self.state.oldest_ms
        written = max(self.state.written, last)
        self.state = msgspec.structs.replace(self.state, written=written, oldest_ms=oldest)

    async def read(self, *, limit: int, max_bytes: int) -> list[Kept]:
        """The next messages that are not sent, one at least if there is one. Raises `Unavailable`."""
        after = self.state.sent
        return await self._open().run(lambda db: _read(db, after, limit, max_bytes))

    async def drop(self, last: int) -> None:
        """Remember that everything up to this number is sent.

        Raises `Unavailable` when that cannot be written: it is remembered until the process ends.
        """
        self.state = msgspec.structs.replace(self.state, sent=max(self.state.sent, last))
        self.state = await self._open().run(lambda db: _drop(db, last))
        self.measure()

    async def close(self) -> None:
        """Let go of the file, whose log is merged into it; using it opens it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.close()
            self.measure()

    async def remove(self) -> None:
        """Close and delete it. Raises OSError."""
        await self.close()
        await asyncio.to_thread(_delete, self.path)

    async def set_aside(self) -> Path:
        """Close it and move it out of the way, for a person to look at. Raises OSError."""
        await self.close()
        return await asyncio.to_thread(_move_aside, self.path)

    def _open(self) -> SqliteThread:
        if self._thread is None:
            self._thread = SqliteThread(self.path, writes=True)
        return self._thread


def _make(db: sqlite3.Connection, folder: Path) -> None:
    for statement in _SCHEMA:
        db.execute(statement)
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)  # the file's name must survive a power cut as well as what is in it
    finally:
        os.close(entry)


def _state(db: sqlite3.Connection) -> State:
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    if not tables:  # the process ended between making the file and its first commit
        for statement in _SCHEMA:
            db.execute(statement)
    (written,) = db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
    (sent,) = db.execute("SELECT up_to FROM sent").fetchone()
    row = db.execute("SELECT timestamp_ms FROM message WHERE id = ?", (sent + 1,)).fetchone()
    return State(written, sent, None if row is None else row[0])


def _append(db: sqlite3.Connection, messages: Sequence[Message]) -> tuple[int, int]:
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
    now_ms = time.time_ns() // 1_000_000
    rows = []
    for number, message in enumerate(messages, last + 1):
        headers = _headers_out.encode(message.headers)
        checksum = _checksum(message.topic, message.key, message.value, headers)
        rows.append((number, message.topic, message.key, message.value, headers, now_ms, checksum))
    db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return last + len(rows), now_ms


def _read(db: sqlite3.Connection, after: int, limit: int, max_bytes: int) -> list[Kept]:
    rows = db.execute(
        "SELECT id, topic, key, value, headers, checksum FROM message WHERE id > ? ORDER BY id LIMIT ?",
        (after, limit),
    )
    kept: list[Kept] = []
    size = 0
    for number, topic, key, value, headers, checksum in rows:
        size += len(value)
        if kept and size > max_bytes:
            break
        kept.append(Kept(number, _message(topic, key, value, headers, checksum)))
    return kept


def _message(topic: str, key: bytes, value: bytes, headers: bytes, checksum: int) -> Message | None:
    """The message, or None: a disk that gives back other bytes is noticed by the checksum alone."""
    if _checksum(topic, key, value, headers) != checksum:
        return None
    return Message(topic, key, value, _headers_in.decode(headers))


def _checksum(topic: str, key: bytes, value: bytes, headers: bytes) -> int:
    checksum = zlib.crc32(headers, zlib.crc32(topic.encode("utf-8", "surrogateescape")))
    return zlib.crc32(value, zlib.crc32(key, checksum))


def _drop(db: sqlite3.Connection, last: int) -> State:
    db.execute("UPDATE sent SET up_to = max(up_to, ?)", (last,))
    return _state(db)


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116 - asked for every append: a Path costs more than it
    except FileNotFoundError:
        return 0


def _delete(path: Path) -> None:
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _move_aside(path: Path) -> Path:
    folder = path.parent / "set-aside"
    folder.mkdir(exist_ok=True)
    moved = folder / f"{time.time_ns() // 1_000_000}-{path.name}"
    for suffix in SUFFIXES:
        file = Path(f"{path}{suffix}")
        if file.exists():
            file.rename(f"{moved}{suffix}")
    return moved
