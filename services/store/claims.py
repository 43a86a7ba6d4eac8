"""Taking due traces in hand: what both databases share, and SQLite's way."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    select,
    update,
)

from services.archive import ArchivedPiece, Claim, DueTrace, Settled, Verdict
from services.store.chunks import chunk, number_at
from services.store.columns import Key
from services.store.database import Database
from services.store.keeping import Times, TraceKey
from services.store.pieces import each, unpack
from services.store.references import awaited_sessions, join
from services.store.tables import trace

_CLAIM_BYTES = 16 << 20  # of bodies in one claim: a batch of the largest traces must fit in memory
_TRACE_BYTES = 64 << 20  # of bodies in one trace: one id used for everything must not kill us
_LONGEST_SESSION = 256  # characters: PostgreSQL's index takes 2,700 bytes, feedback names 120

_settle = (
    update(trace)
    .where(trace.c.project == bindparam("in_project"), trace.c.trace_id == bindparam("in_trace"))
    .values(
        # what one worker found to have failed has failed, even if another does not find it any more
        state=case(
            (trace.c.failing.is_not(None), "failed"), else_=bindparam("to_state", type_=Key)
        ),
        why=bindparam("to_why"),
        truncated=bindparam("to_truncated"),
        failing=func.coalesce(bindparam("to_failing", type_=trace.c.failing.type), trace.c.failing),
        problems=bindparam("to_problems", type_=trace.c.problems.type),
        session_id=func.coalesce(bindparam("to_session", type_=Key), trace.c.session_id),
        policy_version=bindparam("to_policy"),
        drop_ms=case(
            (trace.c.failing.is_not(None), None), else_=bindparam("to_drop", type_=BigInteger)
        ),
        scored_ms=func.coalesce(bindparam("to_scored", type_=BigInteger), trace.c.scored_ms),
        due_ms=case(
            (
                trace.c.revision != bindparam("at_revision"),
                bindparam("moved_due", type_=BigInteger),
            ),
            (bindparam("look_again", type_=Boolean), trace.c.until_ms),
            else_=None,
        ),
        until_ms=case(
            (
                trace.c.revision != bindparam("at_revision"),
                bindparam("moved_until", type_=BigInteger),
            ),
            else_=trace.c.until_ms,
        ),
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

    async def settle(self, verdicts: Sequence[Verdict], at: Settled) -> None:
        """Write the verdicts."""
        if self.traces:
            told = list(zip(self.traces, verdicts, strict=True))
            await self._database.write(lambda connection: give(connection, told, at))
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
    by_chunk: dict[int, list[TraceKey]] = {}
    for row in traces:
        if row.bytes <= _TRACE_BYTES:
            by_chunk.setdefault(row.chunk, []).append((row.project, row.trace_id))
    rows = [
        row
        for number, keys in by_chunk.items()
        for condition in among(chunk(number).pieces, keys)
        for row in connection.execute(select(chunk(number).pieces).where(condition))
    ]
    return sorted(rows, key=lambda row: row.seq)  # a trace is in one chunk


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
            tuple(of_trace.get((row.project, row.trace_id), ())),
            row.failing or (),
            row.last_ms,
            row.until_ms,
            row.scored_ms is not None,
            row.why == "too_large",
        )
        for row in traces
    ]


def give(
    connection: Connection, told: Sequence[tuple[DueTrace, Verdict]], at: Settled
) -> Sequence[TraceKey]:
    """Write verdicts; return the traces that are due again because feedback waited for their session.

    Sorted as adding sorts: the two never wait crosswise.
    """
    ordered = sorted(told, key=lambda one: (one[0].project, one[0].trace_id))
    connection.execute(_settle, [_row(trace, verdict, at) for trace, verdict in ordered])
    sessions = {
        (one.project, one.trace_id): session
        for one, verdict in ordered
        if (session := _findable(verdict.session_id)) is not None
    }
    times = Times(at.now_ms, at.due_ms, at.until_ms)
    touched: list[TraceKey] = []
    for reference, trace_id in awaited_sessions(connection, sessions):
        touched += join(connection, reference, trace_id, times, current=number_at(at.now_ms))
    return touched


def _findable(session: str | None) -> str | None:
    """A session by which a trace can be found: senders choose it, and not every text fits an index."""
    if session is None or len(session) > _LONGEST_SESSION:
        return None
    return session if session.isprintable() and session.strip() else None


def _row(one: DueTrace, verdict: Verdict, at: Settled) -> dict[str, Any]:
    return {
        "in_project": one.project,
        "in_trace": one.trace_id,
        "at_revision": one.revision,
        "to_state": verdict.state,
        "to_why": verdict.why,
        "to_truncated": verdict.truncated,
        "to_failing": verdict.failing or None,
        "to_problems": verdict.problems or None,
        "to_session": _findable(verdict.session_id),
        "to_policy": verdict.policy_version,
        "to_drop": verdict.drop_ms,
        "to_scored": None if verdict.state == "waiting" else at.now_ms,
        "moved_due": at.due_ms,
        "moved_until": at.until_ms,
        "look_again": verdict.look_again,
    }
