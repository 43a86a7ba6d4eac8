"""What the repositories need of a database: transactions, and a lock for each project.

A transaction's work is a plain function of a SQLAlchemy connection. On PostgreSQL it runs on
asyncpg, on SQLite whole on a thread of its own: a file is faster than what it costs to hand every
single statement to another thread and back (1.2 ms a transaction through an async driver, 0.3 ms so).
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

Work = Callable[[Connection], T]
"""What is done in a transaction. It waits for nothing but the database."""

LockKind = Literal[
    "dedup",  # the decision "same or new"
    "promote",  # making cases and counting
    "keys",  # making and revoking API keys: their order is what others follow
    "chunks",  # making and dropping the archive's tables
    "upgrade",  # migrations
]

BUSY_SECONDS = 10  # a transaction here takes milliseconds: who holds a lock for 10 s hangs


class Session(Protocol):
    """An open transaction."""

    async def run(self, work: Work[T]) -> T:
        """Do a part of the transaction. Raises `Unavailable`, and what the work raises."""


class Database(Protocol):
    """Connections to one store. Everything it raises for a dead or busy database is `Unavailable`."""

    @property
    def name(self) -> str:
        """Where it is, as it may be shown."""

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for a server."""

    async def read(self, work: Work[T]) -> T:
        """Do the work on a connection that only reads. Each statement is of one moment."""

    async def write(self, work: Work[T], *locks: LockKind, project: str = "") -> T:
        """Do the work in a transaction of its own, under the locks of a project that are named.

        They are taken in this order: who names several names them as `LockKind` lists them.
        """

    def reading(self) -> AbstractAsyncContextManager[Session]:
        """Several reads on one connection."""

    def writing(self, lock: LockKind, project: str) -> AbstractAsyncContextManager[Session]:
        """A transaction under a project's lock. Commits on leaving; an error takes all of it back."""

    async def close(self) -> None:
        """Let go of every connection."""
