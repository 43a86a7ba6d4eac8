"""Random bytes that every process of an installation shares, made by the first that asks."""

import secrets

from sqlalchemy import select

from services.store.database import Database
from services.store.tables import secret
from services.store.upsert import absorbing

_BYTES = 32  # 256 bits: a key for any keyed hash or cipher used here
_add = absorbing(secret)


class Secrets:
    """Named secrets. They never leave the store but to the process that asks for them."""

    def __init__(self, database: Database) -> None:
        """Keep secrets in `database`."""
        self._database = database

    async def get_or_make(self, name: str) -> bytes:
        """The 32 random bytes called `name`, drawn once: all who ask, ever, get the same.

        Raises `Unavailable`.
        """
        wanted = select(secret.c.value).where(secret.c.name == name)
        found = await self._database.read(lambda connection: connection.scalar(wanted))
        if found is not None:
            return bytes(found)
        # of those who ask at the same moment one is first; the others read what it drew
        row = {"name": name, "value": secrets.token_bytes(_BYTES)}
        await self._database.write(lambda connection: connection.execute(_add, row))
        return await self._database.read(
            lambda connection: bytes(connection.execute(wanted).scalar_one())
        )
