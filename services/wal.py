"""SQLite's write-ahead log, switched on by several processes at once."""

import sqlite3

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

_PAUSE_SECONDS = 0.01


def use_wal(connection: sqlite3.Connection, *, seconds: float) -> None:
    """Switch the file to WAL, trying for so many seconds.

    The switch is the one statement that says `database is locked` without heeding the busy timeout.
    Raises sqlite3.OperationalError when it stays locked, or at once for any other reason.
    """
    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        ),
        wait=wait_fixed(_PAUSE_SECONDS),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    retrying(lambda: connection.execute("PRAGMA journal_mode = WAL").close())
