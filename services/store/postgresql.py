"""PostgreSQL: one pool, and advisory locks that end with their transaction.

No lock outlives the connection that took it, so a worker that dies keeps nothing from the others.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.settings import mask_url
from services.store.database import BUSY_SECONDS, LockKind, Work
from services.store.faults import translated

T = TypeVar("T")

_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 30  # the longest is an export of every occurrence, a few seconds a million
_IDLE_SECONDS = 600  # a claim is held open while its traces are scored and published
_POOL = 10  # two loops, their attempts, a claim, and the requests of a service

_SERVER_SETTINGS = {
    "application_name": "evalratchet",
    "timezone": "UTC",
    "jit": "off",  # compiling costs more than any of our queries takes
    # a worker whose machine is gone lets go of its locks after half a minute, not two hours
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_LIMITS = {
    "lock_timeout": f"{BUSY_SECONDS}s",
    "statement_timeout": f"{_STATEMENT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
}


class PostgresqlDatabase:
    """A server. `services.store.database.Database`, and connections that outlive a call."""

    def __init__(self, url: str, *, hurried: bool) -> None:
        """Nothing is opened before it is used; `hurried` puts a limit on every statement."""
        self.file = None
        self.name = mask_url(url)
        self._engine = _engine(url, hurried=hurried)

    def guarded(self) -> AbstractContextManager[None]:
        """Raise `Unavailable` for what the driver raises inside."""
        return translated(self.name)

    async def connect(self) -> AsyncConnection:
        """A connection that the caller closes, for a claim. Raises what the driver raises."""
        return await self._engine.connect().start()

    async def read(self, work: Work[T]) -> T:
        """Do the work on one connection; each statement is of one moment."""
        async with self.reading() as session:
            return await session.run(work)

    async def write(self, work: Work[T], *locks: LockKind, project: str = "") -> T:
        """Do the work in a transaction of its own, under the locks of a project that are named."""
        with self.guarded():
            async with self._engine.begin() as connection:
                for lock in locks:
                    await _take(connection, lock, project)
                return await connection.run_sync(work)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["_Session"]:
        """Several reads on one connection."""
        with self.guarded():
            async with self._engine.begin() as connection:
                yield _Session(connection)

    @asynccontextmanager
    async def writing(self, lock: LockKind, project: str) -> AsyncIterator["_Session"]:
        """A transaction under a project's lock. Commits on leaving; an error takes all of it back."""
        with self.guarded():
            async with self._engine.begin() as connection:
                await _take(connection, lock, project)
                yield _Session(connection)

    async def close(self) -> None:
        """Let go of every connection that is not in use."""
        await self._engine.dispose()


class _Session:
    """An open transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run(self, work: Work[T]) -> T:
        """Do a part."""
        return await self._connection.run_sync(work)


async def _take(connection: AsyncConnection, kind: LockKind, project: str) -> None:
    """Wait for a lock. Its key is 64 bits of a hash: two projects that share one only wait for each other."""
    digest = hashlib.blake2b(f"evalratchet/{kind}/{project}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "big", signed=True)
    await connection.execute(select(func.pg_advisory_xact_lock(key)))


def _engine(url: str, *, hurried: bool) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # what users wrote does not belong into a log
        connect_args={
            "timeout": _CONNECT_SECONDS,
            # the server's own limit comes first
            "command_timeout": _STATEMENT_SECONDS + 5 if hurried else None,
            "server_settings": _SERVER_SETTINGS | (_LIMITS if hurried else {}),
        },
    )
