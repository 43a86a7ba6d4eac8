"""API keys. Only a hash of each is here; the keys themselves are nowhere."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from services.keys import KeyRecord
from services.store.database import Database
from services.store.tables import api_key

_FIELDS = [column for column in api_key.c if column.name != "change"]
_newest = select(func.coalesce(func.max(api_key.c.change), 0))
_note = (
    update(api_key)
    .where(
        api_key.c.key_id == bindparam("used_id"),
        func.coalesce(api_key.c.last_used_at, bindparam("used_at")) <= bindparam("used_at"),
    )
    .values(last_used_at=bindparam("used_at"))
)


class ApiKeys:
    """Keys by id, and their changes in order. `services.keys.KeyChanges`."""

    def __init__(self, database: Database) -> None:
        """Keep keys in `database`."""
        self._database = database

    async def add(self, record: KeyRecord) -> None:
        """Keep a new key. Raises `Unavailable`."""

        def work(connection: Connection) -> None:
            row = msgspec.structs.asdict(record)
            row["scopes"] = list(record.scopes)
            row["change"] = _next(connection)
            connection.execute(insert(api_key), row)

        await self._database.write(work, "keys")

    async def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        """Revoke a key for good; the record, or None when there is no such key.

        A key that is revoked already stays as it is. Raises `Unavailable`.
        """

        def work(connection: Connection) -> KeyRecord | None:
            change = (
                update(api_key)
                .where(api_key.c.key_id == key_id, api_key.c.revoked_at.is_(None))
                .values(revoked_at=at, change=_next(connection))
            )
            connection.execute(change)
            row = connection.execute(select(*_FIELDS).where(api_key.c.key_id == key_id)).first()
            return None if row is None else _record(row)

        return await self._database.write(work, "keys")

    async def every(self, project: str | None = None) -> list[KeyRecord]:
        """Every key, oldest first, the revoked included; of one project when it is named."""
        wanted = select(*_FIELDS).order_by(api_key.c.created_at, api_key.c.key_id)
        if project is not None:
            wanted = wanted.where(api_key.c.project == project)
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        return [_record(row) for row in rows]

    async def changed_since(self, change: int) -> tuple[int, Sequence[KeyRecord]]:
        """The number of the newest change, and the keys that changed after `change`.

        Changes are numbered under a lock, so none ever appears behind one that was seen.
        """
        wanted = select(api_key).where(api_key.c.change > change).order_by(api_key.c.change)
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        newest = rows[-1].change if rows else change
        return newest, [_record(row) for row in rows]

    async def used(self, moments: Sequence[tuple[str, datetime]]) -> None:
        """Note when keys were last used; never an earlier moment than the one noted."""
        rows = [{"used_id": key_id, "used_at": at} for key_id, at in moments]
        if rows:
            await self._database.write(lambda connection: connection.execute(_note, rows))


def _next(connection: Connection) -> int:
    return int(connection.scalar(_newest) or 0) + 1


def _record(row: Row[tuple[object, ...]]) -> KeyRecord:
    fields = {name: row._mapping[name] for name in KeyRecord.__struct_fields__}  # noqa: SLF001 - SQLAlchemy's public name
    fields["digest"] = bytes(fields["digest"])
    fields["scopes"] = tuple(fields["scopes"])
    return KeyRecord(**fields)
