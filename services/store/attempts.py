"""What was being handled when the process died."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete

from services.store.database import Database
from services.store.tables import stage_attempt
from services.store.upsert import merging

_count = merging(stage_attempt, attempts="stage_attempt.attempts + 1").returning(
    stage_attempt.c.position, stage_attempt.c.attempts
)


class StageAttempts:
    """`services.stream.loop.Attempts`."""

    def __init__(self, database: Database) -> None:
        """Keep counts in `database`."""
        self._database = database

    async def begin(self, consumer: str, positions: Sequence[str]) -> Mapping[str, int]:
        """Count one more attempt at each position, durably; return the counts, first is 1.

        Raises `Unavailable`.
        """
        rows = [
            {"consumer": consumer, "position": position, "attempts": 1}
            for position in sorted(set(positions))
        ]
        if not rows:
            return {}

        def count(connection: Connection) -> dict[str, int]:
            counted = connection.execute(_count, rows)
            return {row.position: row.attempts for row in counted}

        return await self._database.write(count)

    async def end(self, consumer: str, positions: Sequence[str]) -> None:
        """Forget these positions: they were survived. Raises `Unavailable`."""
        if not positions:
            return
        survived = delete(stage_attempt).where(
            stage_attempt.c.consumer == consumer,
            stage_attempt.c.position.in_(sorted(set(positions))),
        )
        await self._database.write(lambda connection: connection.execute(survived))
