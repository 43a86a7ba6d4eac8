"""Which database a URL names."""

from pathlib import Path

from sqlalchemy import make_url

from services.store.postgresql import PostgresqlDatabase
from services.store.sqlite import SqliteDatabase


def open_database(url: str, *, hurried: bool = True) -> SqliteDatabase | PostgresqlDatabase:
    """The database at `url`, as SQLAlchemy reads it. Nothing is opened yet.

    `hurried` puts a limit on every statement; migrations take the time they take.
    """
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return SqliteDatabase(Path(parts.database or ""))
    return PostgresqlDatabase(url, hurried=hurried)
