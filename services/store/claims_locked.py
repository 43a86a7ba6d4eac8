"""Taking due traces in hand on PostgreSQL, where many workers do."""

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.archive import Claim, DueTrace, Settled, Verdict
from services.errors import Unavailable
from services.store.claims import (
    among,
    assembled,
    due,
    fitting,
    give,
    pieces_of,
)
from services.store.keeping import TraceKey
from services.store.postgresql import PostgresqlDatabase
from services.store.tables import trace, trace_hand
from services.store.upsert import absorbing

log = structlog.get_logger()

_hand = absorbing(trace_hand)


class LockedClaims:
    """Claims are open transactions that hold the traces' rows of `trace_hand`."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        """Take traces from `database`."""
        self._database = database
        self._open: set[_LockedClaim] = set()

    def prepare(self, connection: Connection, traces: Sequence[TraceKey]) -> None:
        """Make the rows that are locked. The lock on `trace` keeps expiry away until both are there."""
        _make_hands(connection, traces)

    async def take(self, now_ms: int, limit: int) -> Claim:
        """Lock first, then look: only what is read after the lock is not another worker's past."""
        same = trace.c.project == trace_hand.c.project, trace.c.trace_id == trace_hand.c.trace_id
        lock = (
            due(now_ms, limit)
            .join(trace_hand, and_(*same))
            .with_for_update(of=trace_hand, skip_locked=True)
        )

        def look(connection: Connection) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
            keys = [(row.project, row.trace_id) for row in connection.execute(lock)]
            still_due = [
                row
                for condition in among(trace, keys)
                for row in connection.execute(
                    select(trace).where(condition, trace.c.due_ms <= now_ms)
                )
            ]
            chosen = fitting(sorted(still_due, key=lambda row: row.due_ms))
            return chosen, pieces_of(connection, chosen)

        with self._database.guarded():
            connection = await self._database.connect()
            try:
                traces = await assembled(*await connection.run_sync(look))
            except BaseException:
                await _let_go(connection)
                raise
        return _LockedClaim(self._database, connection, traces, self._open)

    async def close(self) -> None:
        """Let go of claims that are still open."""
        for claim in list(self._open):
            await claim.abandon()


class _LockedClaim:
    """Traces in hand on PostgreSQL, until the transaction ends, or the connection does."""

    def __init__(
        self,
        database: PostgresqlDatabase,
        connection: AsyncConnection,
        traces: Sequence[DueTrace],
        open_claims: "set[_LockedClaim]",
    ) -> None:
        self._database = database
        self._connection = connection
        self.traces = traces
        self._lost = False
        self._open = open_claims
        open_claims.add(self)

    async def settle(self, verdicts: Sequence[Verdict], at: Settled) -> None:
        """Write the verdicts, on another connection when ours was lost meanwhile.

        That is right without the lock too: a verdict holds for one revision, whoever reached it.
        Raises `Unavailable`; the claim can be settled again then.
        """
        told = list(zip(self.traces, verdicts, strict=True))

        def work(connection: Connection) -> None:
            _make_hands(connection, give(connection, told, at))

        if not self._lost:
            try:
                with self._database.guarded():
                    if told:
                        await self._connection.run_sync(work)
                    await self._connection.commit()
            except Unavailable as error:
                log.warning("claim_lost", traces=len(told), why=str(error))
                self._lost = True
        await self.abandon()
        if self._lost and told:
            await self._database.write(work)

    async def abandon(self) -> None:
        """Roll back and give the connection back."""
        self._open.discard(self)
        await _let_go(self._connection)


def _make_hands(connection: Connection, traces: Sequence[TraceKey]) -> None:
    if traces:
        rows = [{"project": project, "trace_id": trace_id} for project, trace_id in sorted(traces)]
        connection.execute(_hand, rows)


async def _let_go(connection: AsyncConnection) -> None:
    """Close, whatever state the connection is in: its locks end with it or with the server's."""
    try:
        await connection.close()
    except Exception as error:  # noqa: BLE001 - there is nothing more to let go of
        log.warning("connection_lost", why=str(error))
