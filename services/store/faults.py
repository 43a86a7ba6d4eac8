"""Which of the databases' errors mean "wait and do the same again"."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.errors import Unavailable

_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}

_SQLSTATE_CLASSES = (
    "08",  # connection: lost, refused, not accepted
    "40",  # rolled back: deadlock, serialization
    "53",  # resources: disk full, out of memory, too many connections
    "58",  # the system below: I/O error
    "57P",  # operator: shutdown, starting up, crash of another backend, idle too long
)
_SQLSTATES = (
    "25006",  # read only: connected to a standby during a failover
    "25P03",  # idle in transaction for too long
    "55P03",  # a lock was not available in time
    "57014",  # a statement took too long
)

_UNDEFINED_TABLE = "42P01"


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise `Unavailable`, naming the database, for errors that pass; leave others as they are."""
    try:
        yield
    except Exception as error:
        if not passes(error):
            raise
        message = f"the store {name} is unavailable: {_in_words(error)}"
        raise Unavailable(message) from error


def passes(error: BaseException) -> bool:
    """Whether a driver's or the pool's error says that the database is down, busy or full."""
    if isinstance(error, (PoolTimeout, OSError)):  # refused, reset, and every timeout
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (error.orig is not None and passes(error.orig))
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _SQLITE_CODES
    state = _sqlstate(error)
    return state.startswith(_SQLSTATE_CLASSES) or state in _SQLSTATES


def table_is_gone(error: BaseException) -> bool:
    """Whether PostgreSQL says that a table is not there (any more)."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return found is not None and _sqlstate(found) == _UNDEFINED_TABLE


def _sqlstate(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _in_words(error: BaseException) -> str:
    """The innermost message on one line; SQLAlchemy's own repeats the statement and its values."""
    orig = error.orig if isinstance(error, DBAPIError) else None
    inner = error if orig is None else orig.__cause__ or orig
    if isinstance(inner, TimeoutError) and not str(inner):
        return "it does not answer"
    return " ".join(str(inner).split()) or type(inner).__name__
