"""Which database a URL names, and how it hands out traces."""

from pathlib import Path

from sqlalchemy import make_url

from services.settings import SettingsError
from services.store.claims import Claims, LoneClaims
from services.store.database import Database
from services.store.sqlite import SqliteDatabase


def host_of(url: str) -> str | None:
    """The host that `url` names, if it names one, as who connects will look for it.

    Raises:
        SettingsError: the URL cannot be read so.
    """
    host: str | None = make_url(url).host
    if host is not None and "@" in host:
        message = "EVALRATCHET_STORE: an @ in a user's name or password has to be written as %40."
        raise SettingsError(message)
    return host


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
