"""A SQLite file behind a thread of its own, so that no event loop ever waits for a disk.

One thread writes and commits what has gathered while it was busy as one transaction: a single
message costs one fsync, a hundred concurrent ones cost one fsync together. Another thread reads:
in WAL mode neither waits for the other.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from services.errors import Unavailable
from services.wal import use_wal

T = TypeVar("T")

_BUSY_SECONDS = 5.0  # another process holds the write lock for milliseconds; 5 s means it hangs
_GROUP = 256  # calls a transaction: bounds how long the first of them waits for the last
_PAGE_BYTES = 8192  # messages of 2.5 kB: 17 us CPU each in batches of 100, with 4096 it is 22
_CHECKPOINT_PAGES = 1000  # 8 MB of log; larger ones save 2 us a message and stall for 40 ms


class _Job(NamedTuple):
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[Any]"


class SqliteThread:
    """Runs work on one connection, in the order it came."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        """Start the thread; the file is opened with the first work. A reader never creates it."""
        self._path = path
        self._writes = writes
        self._connection: sqlite3.Connection | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        name = f"evalratchet-stream-{'writer' if writes else 'reader'}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work on the thread; a writer's is committed to the disk when this returns.

        The work may be run twice, the first time rolled back. Raises `Unavailable`, naming the
        file, when SQLite cannot (disk full, locked, not a database), else what the work raises.
        """
        if self._closed:
            message = f"the stream {self._path} is closed"
            raise Unavailable(message)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, done))
        return await done

    async def close(self) -> None:
        """Finish what was asked for before, and close the file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs, last = [job], False
            while self._writes and len(jobs) < _GROUP and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    last = True
                    break
                jobs.append(job)
            self._do(jobs)
            if last:
                break
        if self._connection is not None:
            self._connection.close()

    def _do(self, jobs: list[_Job]) -> None:
        try:
            results = self._transact(jobs) if self._writes else [self._read(job) for job in jobs]
        except BaseException as error:  # noqa: BLE001 - whoever waits for it must hear of it
            if len(jobs) == 1 or _is_the_files_fault(error):
                _settle(jobs, error=self._explained(error))
            else:  # one bad call must not fail those that share its transaction
                for job in jobs:
                    self._do([job])
        else:
            _settle(jobs, results=results)

    def _read(self, job: _Job) -> Any:
        return job.work(self._open())

    def _transact(self, jobs: list[_Job]) -> list[Any]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [job.work(connection) for job in jobs]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled it back already
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        return results

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self._path, writes=self._writes)
            self._connection = connection
        return self._connection

    def _explained(self, error: BaseException) -> BaseException:
        if not _is_the_files_fault(error):
            return error
        explained = Unavailable(f"the stream {self._path} cannot be used: {error}")
        explained.__cause__ = error
        return explained


def connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    """A connection in autocommit mode, WAL, synchronous FULL. A writer creates the file.

    Raises:
        sqlite3.Error: SQLite's own.
        OSError: the folder cannot be made.
    """
    if writes:
        path.parent.mkdir(parents=True, exist_ok=True)
    mode = "rwc" if writes else "rw"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, timeout=_BUSY_SECONDS, isolation_level=None, uri=True)
    try:
        if writes:
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            use_wal(connection, seconds=_BUSY_SECONDS)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_the_files_fault(error: BaseException) -> bool:
    """Disk full, locked, unreadable, not a database: waiting, or a person, may mend it."""
    return isinstance(error, (sqlite3.OperationalError, OSError)) or (
        type(error) is sqlite3.DatabaseError
    )


def _settle(
    jobs: list[_Job], *, results: Iterable[Any] = (), error: BaseException | None = None
) -> None:
    """Hand the outcome to those who wait, each on its own event loop."""

    def settle(done: "asyncio.Future[Any]", result: Any) -> None:
        if done.done():  # whoever waited has gone
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    padded = results if error is None else [None] * len(jobs)
    for job, result in zip(jobs, padded, strict=True):
        with suppress(RuntimeError):  # that event loop has been closed meanwhile
            job.loop.call_soon_threadsafe(settle, job.done, result)
