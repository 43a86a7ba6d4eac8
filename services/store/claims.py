"""Taking due traces in hand: what both databases share, and SQLite's way."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    or_,
    select,
    update,
)

from services.archive import ArchivedPiece, Claim, DueTrace
from services.store.database import Database
from services.store.pieces import each, unpack
from services.store.tables import trace, trace_piece

TraceKey = tuple[str, str]
"""Project and trace id."""

_CLAIM_BYTES = 16 << 20  # of bodies in one claim: a batch of the largest traces must fit in memory
_TRACE_BYTES = 64 << 20  # of bodies in one trace: one id used for everything must not kill us

settle_traces = (
    update(trace)
    .where(trace.c.project == bindparam("in_project"), trace.c.trace_id == bindparam("in_trace"))
    .values(
        failed=or_(trace.c.failed, bindparam("has_failed", type_=trace.c.failed.type)),
        due_ms=case((trace.c.revision == bindparam("at_revision"), None), else_=trace.c.due_ms),
    )
)


class Claims(Protocol):
    """How a database hands out due traces."""

    def prepare(self, connection: Connection, traces: Sequence[TraceKey]) -> None:
        """Called after traces were added or touched, in the same transaction."""

    async def take(self, now_ms: int, limit: int) -> Claim:
        """Take up to `limit` due traces that nobody else has in hand. Raises `Unavailable`."""

    async def close(self) -> None:
        """Let go of claims that are still open."""


class LoneClaims:
    """Claims on SQLite: this process is the only worker, so a set in memory is enough."""

    def __init__(self, database: Database) -> None:
        """Take traces from `database`."""
        self._database = database
        self._in_hand: set[TraceKey] = set()

    def prepare(self, connection: Connection, traces: Sequence[TraceKey]) -> None:
        """Nothing to prepare."""

    async def take(self, now_ms: int, limit: int) -> Claim:
        """Take due traces that no other claim has."""

        def find(connection: Connection) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
            rows = connection.execute(due(now_ms, limit + len(self._in_hand))).all()
            free = [row for row in rows if (row.project, row.trace_id) not in self._in_hand]
            chosen = fitting(free[:limit])
            return chosen, pieces_of(connection, chosen)

        chosen, pieces = await self._database.read(find)
        return _LoneClaim(self._database, await assembled(chosen, pieces), self._in_hand)

    async def close(self) -> None:
        """Claims here hold nothing but memory."""


class _LoneClaim:
    """Traces in hand on SQLite."""

    def __init__(
        self, database: Database, traces: Sequence[DueTrace], in_hand: set[TraceKey]
    ) -> None:
        self._database = database
        self.traces = traces
        self._in_hand = in_hand
        in_hand.update((one.project, one.trace_id) for one in traces)

    async def settle(self, failed: Sequence[bool]) -> None:
        """Write the verdicts."""
        if self.traces:
            rows = verdicts(self.traces, failed)
            await self._database.write(lambda connection: connection.execute(settle_traces, rows))
        await self.abandon()

    async def abandon(self) -> None:
        """Let go of the traces."""
        self._in_hand.difference_update((one.project, one.trace_id) for one in self.traces)


def due(now_ms: int, limit: int) -> Select[Any]:
    """Due traces, longest due first."""
    order = trace.c.due_ms, trace.c.project, trace.c.trace_id
    return select(trace).where(trace.c.due_ms <= now_ms).order_by(*order).limit(limit)


def fitting(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The first traces whose bodies fit into one claim; at least one."""
    size = 0
    for count, row in enumerate(rows):
        size += row.bytes
        if count and size > _CLAIM_BYTES:
            return rows[:count]
    return rows


def among(table: Table, keys: Sequence[TraceKey]) -> list[ColumnElement[bool]]:
    """Conditions, one a project, that together choose the rows of these traces.

    One condition on pairs would say the same, but neither database finds its index for it.
    """
    projects: dict[str, list[str]] = {}
    for project, trace_id in keys:
        projects.setdefault(project, []).append(trace_id)
    return [
        and_(table.c.project == project, table.c.trace_id.in_(trace_ids))
        for project, trace_ids in projects.items()
    ]


def pieces_of(connection: Connection, traces: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The pieces of these traces, in order of arrival; none of one that is too large to be read."""
    keys = [(row.project, row.trace_id) for row in traces if row.bytes <= _TRACE_BYTES]
    rows = [
        row
        for condition in among(trace_piece, keys)
        for row in connection.execute(select(trace_piece).where(condition))
    ]
    return sorted(rows, key=lambda row: row.seq)


async def assembled(traces: Sequence[Row[Any]], pieces: Sequence[Row[Any]]) -> list[DueTrace]:
    """Traces with their pieces unpacked."""
    bodies = await each(
        lambda row: unpack(row.packing, row.body), pieces, sum(row.bytes for row in traces)
    )
    of_trace: dict[TraceKey, list[ArchivedPiece]] = {}
    for row, body in zip(pieces, bodies, strict=True):
        piece = ArchivedPiece(row.project, row.trace_id, row.event_id, row.schema, body)
        of_trace.setdefault((row.project, row.trace_id), []).append(piece)
    return [
        DueTrace(
            row.project,
            row.trace_id,
            row.revision,
            row.failed,
            tuple(of_trace.get((row.project, row.trace_id), ())),
        )
        for row in traces
    ]


def verdicts(traces: Sequence[DueTrace], failed: Sequence[bool]) -> list[dict[str, Any]]:
    """Parameters of `settle_traces`, sorted as adding sorts: the two never wait crosswise."""
    told = sorted(
        zip(traces, failed, strict=True), key=lambda one: (one[0].project, one[0].trace_id)
    )
    return [
        {
            "in_project": one.project,
            "in_trace": one.trace_id,
            "at_revision": one.revision,
            "has_failed": verdict,
        }
        for one, verdict in told
    ]
