"""Which database a URL names, and how it hands out traces."""

from pathlib import Path

from sqlalchemy import make_url

from services.store.claims import Claims, LoneClaims
from services.store.database import Database
from services.store.sqlite import SqliteDatabase


def open_database(url: str, *, hurried: bool = True) -> tuple[Database, Claims]:
    """The database at `url`, as SQLAlchemy reads it, and its claims. Nothing is opened yet.

    `hurried` puts a limit on every statement; migrations take the time they take.
    """
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        file = SqliteDatabase(Path(parts.database or ""))
        return file, LoneClaims(file)
    # loaded only where it is used: SQLAlchemy's asyncio side takes 0.35 s, a fifth of a start
    from services.store.claims_locked import LockedClaims  # noqa: PLC0415
    from services.store.postgresql import PostgresqlDatabase  # noqa: PLC0415

    server = PostgresqlDatabase(url, hurried=hurried)
    return server, LockedClaims(server)
