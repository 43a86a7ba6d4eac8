"""alembic's entry: migrate on the connection it is given, or from the settings for developers.

`evalratchet db upgrade` gives a connection. The `alembic` command (to write a new migration, say)
gives none; then the store of the settings is opened.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

from services.settings import load_settings
from services.store.engines import open_database
from services.store.tables import metadata


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",  # it cannot alter most things in place
    )
    with context.begin_transaction():
        context.run_migrations()


async def _from_settings() -> None:
    database, _ = open_database(load_settings().store_url, hurried=False)
    await database.write(_run, "upgrade")
    await database.close()


given: Connection | None = context.config.attributes.get("connection")
if given is None:
    asyncio.run(_from_settings())
else:
    _run(given)
