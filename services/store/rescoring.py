"""Which traces of a project are to be scored once more."""

from collections.abc import Sequence

from sqlalchemy import select

from services.store.database import Database
from services.store.tables import trace


class Rescoring:
    """Pages through the traces that are in the archive."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def page(
        self, project: str, *, since_ms: int, after: str, limit: int
    ) -> Sequence[tuple[str, bool]]:
        """Up to `limit` traces that got something since `since_ms`, by id, above `after`.

        Of each its id and whether it failed. Those that were never scored are left out: they will be
        anyway. Raises `Unavailable`.
        """
        page = (
            select(trace.c.trace_id, trace.c.state)
            .where(
                trace.c.project == project,
                trace.c.trace_id > after,
                trace.c.last_ms >= since_ms,
                trace.c.state != "waiting",
            )
            .order_by(trace.c.trace_id)
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(page).all())
        return [(row.trace_id, row.state == "failed") for row in rows]

    async def one(self, project: str, trace_id: str) -> Sequence[tuple[str, bool]]:
        """The same for one trace; nothing when it is not here (any more). Raises `Unavailable`."""
        wanted = select(trace.c.state).where(
            trace.c.project == project, trace.c.trace_id == trace_id
        )
        state = await self._database.read(lambda connection: connection.scalar(wanted))
        return [] if state is None else [(trace_id, state == "failed")]
