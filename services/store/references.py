"""Feedback whose sender knew a span or a session: finding the trace, or waiting until it comes.

What waits is a trace of its own name, `span:<id>` or `session:<id>`, with no moment at which it is
due, and a row in `trace_awaited`. Its pieces move to the real trace once that is known: when the span
comes, when a trace of the session is scored, and, for what two transactions missed of each other,
when the archive is tidied.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, exists, literal, select, tuple_

from services.archive import Naming
from services.store.chunks import chunk, there
from services.store.keeping import Packed, Times, TraceKey, keep
from services.store.pieces import span_key
from services.store.tables import trace, trace_awaited, trace_hand
from services.store.upsert import absorbing

_NAMES_A_QUERY = 500
_await = absorbing(trace_awaited)
_any_span = select(exists().where(trace_awaited.c.span.is_not(None)))
_any_session = select(exists().where(trace_awaited.c.span.is_(None)))
_of_sessions = select(trace_awaited.c.trace_id).where(
    trace_awaited.c.project == bindparam("in_project"),
    trace_awaited.c.trace_id.in_(bindparam("names", expanding=True)),
)


class Reference(NamedTuple):
    """A span or a session by its name in the archive."""

    project: str
    trace_id: str

    @property
    def names(self) -> Naming:
        """What kind of thing it is."""
        return "span" if self.trace_id.startswith("span:") else "session"

    @property
    def id(self) -> str:
        """The span's or the session's own id."""
        return self.trace_id.partition(":")[2]


def resolve(connection: Connection, one: Reference) -> str | None:
    """The trace that a span is in, or the latest trace of a session; None while there is none."""
    if one.names == "session":
        of_session = select(trace.c.trace_id).where(
            trace.c.project == one.project, trace.c.session_id == one.id
        )
        found: str | None = connection.scalar(of_session.order_by(trace.c.first_ms.desc()).limit(1))
        return found
    key = span_key(one.id)
    for place in there(connection):
        pieces, spans = place.pieces.c, place.spans.c
        of_span = (
            select(pieces.trace_id)
            .join(place.spans, spans.piece == pieces.seq)
            .where(spans.span == key, pieces.project == one.project)
        )
        in_chunk: str | None = connection.scalar(of_span.limit(1))
        if in_chunk is not None:
            return in_chunk
    return None


def wait(connection: Connection, references: Sequence[Reference]) -> None:
    """Remember what is waited for."""
    rows = [
        {
            "project": one.project,
            "trace_id": one.trace_id,
            "span": span_key(one.id) if one.names == "span" else None,
        }
        for one in references
    ]
    connection.execute(_await, rows)


def awaited_spans(
    connection: Connection, pieces: Sequence[Packed]
) -> Sequence[tuple[Reference, str]]:
    """Of what waits, that which these pieces bring, and the trace it belongs to."""
    spans = {(one.project, span): one.trace_id for one in pieces for span in one.spans}
    if not spans or not connection.scalar(_any_span):
        return ()
    keys = sorted({span for _, span in spans})
    found: list[tuple[Reference, str]] = []
    for start in range(0, len(keys), _NAMES_A_QUERY):
        some = trace_awaited.c.span.in_(keys[start : start + _NAMES_A_QUERY])
        found += [
            (Reference(row.project, row.trace_id), trace_id)
            for row in connection.execute(select(trace_awaited).where(some))
            if (trace_id := spans.get((row.project, row.span))) is not None
        ]
    return found


def awaited_sessions(
    connection: Connection, sessions: Mapping[TraceKey, str]
) -> Sequence[tuple[Reference, str]]:
    """Of what waits, that which names one of these traces' sessions, and the trace."""
    if not sessions or not connection.scalar(_any_session):
        return ()
    by_project: dict[str, dict[str, str]] = {}
    for (project, trace_id), session in sessions.items():
        # of several traces of one session the first takes it all
        by_project.setdefault(project, {}).setdefault(f"session:{session}", trace_id)
    found: list[tuple[Reference, str]] = []
    for project, trace_of in by_project.items():
        names = sorted(trace_of)
        for start in range(0, len(names), _NAMES_A_QUERY):
            of = {"in_project": project, "names": names[start : start + _NAMES_A_QUERY]}
            waiting = connection.scalars(_of_sessions, of)
            found += [(Reference(project, name), trace_of[name]) for name in waiting]
    return found


def awaited_after(
    connection: Connection, last: Reference | None, *, since_ms: int, limit: int
) -> Sequence[Reference]:
    """What waits and came since, in order, so many at a time."""
    order = trace_awaited.c.project, trace_awaited.c.trace_id
    same = trace.c.project == order[0], trace.c.trace_id == order[1]
    query = select(*order).join(trace, and_(*same)).where(trace.c.last_ms >= since_ms)
    if last is not None:
        query = query.where(tuple_(*order) > tuple_(literal(last.project), literal(last.trace_id)))
    rows = connection.execute(query.order_by(*order).limit(limit))
    return [Reference(row.project, row.trace_id) for row in rows]


def join(
    connection: Connection, one: Reference, trace_id: str, times: Times, *, current: int
) -> Sequence[TraceKey]:
    """Move what waits under a reference to its trace; return the traces that are due because of it."""
    mine = trace.c.project == one.project, trace.c.trace_id == one.trace_id
    row = connection.execute(select(trace).where(*mine).with_for_update()).first()
    touched: Sequence[TraceKey] = ()
    if row is not None:
        columns = chunk(row.chunk).pieces.c
        here = columns.project == one.project, columns.trace_id == one.trace_id
        kept = connection.execute(
            select(chunk(row.chunk).pieces).where(*here).order_by(columns.seq)
        )
        size = row.bytes // max(row.pieces, 1)
        moved = [
            Packed(one.project, trace_id, p.event_id, p.schema, p.packing, p.body, size, ())
            for p in kept
        ]
        if moved:
            touched = keep(connection, moved, times, current=current).touched
        connection.execute(delete(chunk(row.chunk).pieces).where(*here))
        connection.execute(delete(trace).where(*mine))
    for table in (trace_awaited, trace_hand):
        gone = table.c.project == one.project, table.c.trace_id == one.trace_id
        connection.execute(delete(table).where(*gone))
    return touched
