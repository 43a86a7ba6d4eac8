"""What an `Idempotency-Key` was first used for."""

from sqlalchemy import Connection, delete, select

from services.store.database import Database
from services.store.tables import idempotency_key
from services.store.upsert import absorbing

_add = absorbing(idempotency_key)


class IdempotencyKeys:
    """`services.http.idempotency.Remembered`, durably."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    async def claim(self, event_id: str, digest: bytes, *, at_ms: int) -> bytes:
        """The digest that the event was first claimed with: this one, when nobody was before.

        Of several at once one is first, and all see which. Raises `Unavailable`.
        """
        row = {"event_id": event_id, "digest": digest, "first_ms": at_ms}
        wanted = select(idempotency_key.c.digest).where(idempotency_key.c.event_id == event_id)

        def work(connection: Connection) -> bytes | None:
            connection.execute(_add, row)
            found: bytes | None = connection.scalar(wanted)
            return found

        found = await self._database.write(work)
        # None: it was there when we came and expired before we looked, so nobody was before
        return digest if found is None else bytes(found)

    async def expire(self, *, before_ms: int, limit: int) -> int:
        """Forget at most `limit` of those first used before then; how many. Raises `Unavailable`."""
        old = (
            select(idempotency_key.c.event_id)
            .where(idempotency_key.c.first_ms < before_ms)
            .order_by(idempotency_key.c.first_ms)
            .limit(limit)
        )
        gone = delete(idempotency_key).where(idempotency_key.c.event_id.in_(old))
        return await self._database.write(lambda connection: connection.execute(gone).rowcount)
