"""Which dead letters were replayed."""

from collections.abc import Sequence

from sqlalchemy import select

from services.store.database import Database
from services.store.tables import dead_letter_replay
from services.store.upsert import absorbing

_add = absorbing(dead_letter_replay)


class Replays:
    """`services.reading.ReplayStore`."""

    def __init__(self, database: Database) -> None:
        """Keep replays in `database`."""
        self._database = database

    async def replayed(self, topic: str) -> frozenset[tuple[int, int]]:
        """(partition, offset) of every dead letter of a topic that was replayed.

        Raises `Unavailable`.
        """
        table = dead_letter_replay
        places = select(table.c.partition, table.c.offset).where(table.c.topic == topic)
        rows = await self._database.read(lambda connection: connection.execute(places).all())
        return frozenset((row.partition, row.offset) for row in rows)

    async def mark_replayed(self, topic: str, places: Sequence[tuple[int, int]]) -> None:
        """Remember replays. Raises `Unavailable`."""
        rows = [
            {"topic": topic, "partition": partition, "offset": offset}
            for partition, offset in sorted(set(places))
        ]
        if rows:
            await self._database.write(lambda connection: connection.execute(_add, rows))
