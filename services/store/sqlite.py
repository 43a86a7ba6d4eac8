"""SQLite: one connection writes, on a thread of its own; a few read and never wait for it (WAL).

Every writing transaction is `BEGIN IMMEDIATE`, so the writer is every lock at once: whoever has it
is alone, over all processes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event

from services.errors import Unavailable
from services.store.database import BUSY_SECONDS, LockKind, Work
from services.store.faults import translated
from services.wal import use_wal

T = TypeVar("T")

_READERS = 4


class SqliteDatabase:
    """A file. `services.store.database.Database`."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before it is used; the folder must be there then."""
        self.file: Path = path
        self.name = str(path)
        self._writer = _engine(path, writes=True)
        self._reader = _engine(path, writes=False)
        self._writing_thread = ThreadPoolExecutor(1, "evalratchet-store-writer")
        self._reading_threads = ThreadPoolExecutor(_READERS, "evalratchet-store-reader")
        self._turn = asyncio.Lock()

    async def read(self, work: Work[T]) -> T:
        """Do the work on a connection that only reads; all of it sees one moment."""
        with translated(self.name):
            return await self._on(self._reading_threads, lambda: _whole(self._reader, work))

    async def write(self, work: Work[T], *locks: LockKind, project: str = "") -> T:  # noqa: ARG002
        """Do the work in a transaction of its own. The writer is every lock."""
        with translated(self.name):
            async with self._alone():
                return await self._on(self._writing_thread, lambda: _whole(self._writer, work))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["_Looking"]:
        """Several reads, each of a moment of its own."""
        yield _Looking(self)

    @asynccontextmanager
    async def writing(self, lock: LockKind, project: str) -> AsyncIterator["_Writing"]:  # noqa: ARG002
        """A transaction in several steps. Commits on leaving; an error takes all of it back."""
        with translated(self.name):
            async with self._alone():
                held = _Held(self._writer)
                try:
                    await self._on(self._writing_thread, held.begin)
                    yield _Writing(lambda step: self._on(self._writing_thread, step), held)
                    await self._on(self._writing_thread, held.commit)
                finally:
                    # the thread does one thing after the other: even when this is cancelled, it is
                    # done before the next transaction begins
                    await self._on(self._writing_thread, held.end)

    async def close(self) -> None:
        """Let go of every connection, after what is being done."""
        for threads, engine in (
            (self._writing_thread, self._writer),
            (self._reading_threads, self._reader),
        ):
            await asyncio.to_thread(threads.shutdown)
            engine.dispose()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """This process's turn to write; the other processes are BEGIN IMMEDIATE's business."""
        try:
            await asyncio.wait_for(self._turn.acquire(), BUSY_SECONDS)
        except TimeoutError as error:
            message = f"the store {self.name} is unavailable: busy for {BUSY_SECONDS} s"
            raise Unavailable(message) from error
        try:
            yield
        finally:
            self._turn.release()

    async def _on(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


class _Looking:
    """Reads, one by one."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def run(self, work: Work[T]) -> T:
        """Read."""
        return await self._database.read(work)


class _Held:
    """A transaction that is open between steps. Used on the writing thread only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def begin(self) -> None:
        """Take the writer."""
        self._connection = self._engine.connect()
        self._connection.begin()

    def step(self, work: Work[T]) -> T:
        """Do a part."""
        if self._connection is None:
            message = "the transaction is not open"
            raise RuntimeError(message)
        return work(self._connection)

    def commit(self) -> None:
        """Keep what was done."""
        self.step(lambda connection: connection.commit())

    def end(self) -> None:
        """Take back what was not committed, and let go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Writing:
    """A transaction in several steps."""

    def __init__(self, on_thread: Callable[[Callable[[], Any]], Any], held: _Held) -> None:
        self._on_thread = on_thread
        self._held = held

    async def run(self, work: Work[T]) -> T:
        """Do a part."""
        done: T = await self._on_thread(lambda: self._held.step(work))
        return done


def _whole(engine: Engine, work: Work[T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _engine(path: Path, *, writes: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=1 if writes else _READERS,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,  # what users wrote does not belong into a log
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    pragmas = ["foreign_keys = ON", "temp_store = MEMORY"]
    if writes:
        pragmas += ["synchronous = FULL", "journal_size_limit = 67108864"]
    else:
        pragmas += ["query_only = ON"]
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 leaves BEGIN to us
        if writes:
            use_wal(connection, seconds=BUSY_SECONDS)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
