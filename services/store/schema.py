"""Which revision the store's tables are at, and how they get to the newest one."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, inspect, text

from services.errors import Unavailable
from services.store.database import Database
from services.store.engines import open_database

HEAD = "0005"
"""The newest revision in `migrations/versions/`. Kept here so that a start never loads alembic;
a test compares the two."""


class StoreNotReady(RuntimeError):
    """The store is there but cannot be used as it is. The message says what to do."""


async def check(database: Database) -> None:
    """Return when the tables are at `HEAD`.

    Raises:
        Unavailable: the database is not there.
        StoreNotReady: the tables are missing, older or newer, or the database refuses us.
    """
    if database.file is not None and not database.file.is_file():
        found = None
    else:
        try:
            found = await database.read(_revision)
        except Unavailable:
            raise
        except Exception as error:
            message = f"The store {database.name} cannot be opened: {_reason(error)}"
            raise StoreNotReady(message) from error
    if found == HEAD:
        return
    if found is None:
        problem = "has no tables yet"
    elif found < HEAD:
        problem = f"is at revision {found}, this version needs {HEAD}"
    else:
        message = (
            f"The store {database.name} is at revision {found}, newer than this version of "
            f"evalratchet knows ({HEAD}). Install the version that upgraded it, or a later one."
        )
        raise StoreNotReady(message)
    message = f"The store {database.name} {problem}. Run `evalratchet db upgrade`."
    raise StoreNotReady(message)


async def upgrade(url: str) -> None:
    """Bring the tables to `HEAD`, in one transaction: all of it or nothing.

    Two processes that do it at once wait for each other. Raises `Unavailable`.
    """
    await _migrate(url, lambda command, config: command.upgrade(config, "head"))


async def downgrade(url: str, revision: str) -> None:
    """Take the tables back to an older revision, `base` for none, as `upgrade` brings them forward."""
    await _migrate(url, lambda command, config: command.downgrade(config, revision))


async def _migrate(url: str, step: Callable[[Any, Any], None]) -> None:
    database, _ = open_database(url, hurried=False)
    if database.file is not None:
        database.file.parent.mkdir(parents=True, exist_ok=True)

    def work(connection: Connection) -> None:
        from alembic import command  # noqa: PLC0415 - 100 ms that only a migration pays
        from alembic.config import Config  # noqa: PLC0415 - the same

        config = Config()
        config.set_main_option("script_location", "services.store:migrations")
        config.attributes["connection"] = connection
        step(command, config)

    try:
        await database.write(work, "upgrade")
    finally:
        await database.close()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: Any = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())
