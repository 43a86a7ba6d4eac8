"""Keeping pieces: the trace's row, the piece in the trace's chunk, and the index of its spans.

Plain functions of a connection, inside one transaction. On PostgreSQL the trace's row is locked
first, so what is decided from it in Python (which chunk, which pieces are new, when it is due) holds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, case, insert, literal, select, text, update

from services.store.chunks import Chunk, chunk
from services.store.tables import trace
from services.store.upsert import absorbing

TraceKey = tuple[str, str]
"""Project and trace id."""


class Packed(NamedTuple):
    """A piece ready to be written. `size` is of the body before it was packed."""

    project: str
    trace_id: str
    event_id: str
    schema: str
    packing: int
    body: bytes
    size: int
    spans: Sequence[int]

    @property
    def key(self) -> TraceKey:
        """The trace it belongs to."""
        return self.project, self.trace_id


class Times(NamedTuple):
    """Of an arrival, in ms. `due_ms` is None for what waits for its trace to become known."""

    now_ms: int
    due_ms: int | None
    until_ms: int


class Kept(NamedTuple):
    """What became of pieces: how many were new, and the traces that are due because of them."""

    new: int
    touched: Sequence[TraceKey]


_known = [
    trace.c.trace_id,
    trace.c.chunk,
    trace.c.revision,
    trace.c.due_ms,
    trace.c.until_ms,
    trace.c.pieces,
    trace.c.bytes,
]
_of_trace = update(trace).where(
    trace.c.project == bindparam("in_project"), trace.c.trace_id == bindparam("in_trace")
)
_grow = _of_trace.values(
    revision=bindparam("to_revision"),
    due_ms=bindparam("to_due"),
    until_ms=bindparam("to_until"),
    last_ms=bindparam("to_last"),
    pieces=bindparam("to_pieces"),
    bytes=bindparam("to_bytes"),
)
PARDONED: dict[str, Any] = {
    "state": "waiting",
    "scored_ms": None,
    "why": None,
    # nothing counts as emitted any more; that there was a failure is not forgotten
    "failing": case((trace.c.failing.is_(None), None), else_=literal((), trace.c.failing.type)),
    "truncated": False,
}
"""What is written to a trace that is to be scored as if for the first time."""

_pardon = _of_trace.values(**PARDONED)
_reserve = absorbing(trace)
_new_trace = insert(trace)


def keep(
    connection: Connection,
    pieces: Sequence[Packed],
    times: Times,
    *,
    current: int,
    again: bool = False,
) -> Kept:
    """Keep pieces, each once. Traces without a row yet get one, in the chunk `current`, which is there."""
    by_trace: dict[TraceKey, dict[str, Packed]] = {}
    for one in pieces:
        by_trace.setdefault(one.key, {}).setdefault(one.event_id, one)
    keys = sorted(by_trace)  # so that two writers of the same traces never wait crosswise
    fresh = {key: _row_of(key, by_trace[key].values(), times, current) for key in keys}
    if connection.dialect.name != "sqlite":
        # whoever else brings the first piece now: one row, locked by one of us
        connection.execute(_reserve, [row | _NOTHING_YET for row in fresh.values()])
    known = _locked(connection, keys)
    for key, row in known.items():
        del fresh[key]
        there = (
            _already(connection, chunk(row.chunk), key, list(by_trace[key])) if row.pieces else ()
        )
        by_trace[key] = {name: one for name, one in by_trace[key].items() if name not in there}
    touched = [key for key in keys if by_trace[key] or again]
    grown = [
        _grown(key, known[key], list(by_trace[key].values()), times)
        for key in touched
        if key in known
    ]
    _write_traces(connection, list(fresh.values()), grown, touched if again else ())
    new: dict[int, list[Packed]] = {}
    for key in touched:
        place = known[key].chunk if key in known else current
        new.setdefault(place, []).extend(by_trace[key].values())
    for number, rows in new.items():
        if rows:
            _write(connection, chunk(number), rows, times.now_ms)
    return Kept(sum(map(len, new.values())), touched)


def _write_traces(
    connection: Connection,
    new: Sequence[dict[str, Any]],
    grown: Sequence[dict[str, Any]],
    pardoned: Sequence[TraceKey],
) -> None:
    if new:
        connection.execute(_new_trace, new)
    if grown:
        connection.execute(_grow, grown)
    if pardoned:
        again = [{"in_project": project, "in_trace": name} for project, name in pardoned]
        connection.execute(_pardon, again)


_NOTHING_YET = {"revision": 0, "pieces": 0, "bytes": 0, "due_ms": None}


def _row_of(key: TraceKey, pieces: Any, times: Times, current: int) -> dict[str, Any]:
    return {
        "project": key[0],
        "trace_id": key[1],
        "chunk": current,
        "revision": len(pieces),
        "state": "waiting",
        "due_ms": None if times.due_ms is None else min(times.due_ms, times.until_ms),
        "until_ms": times.until_ms,
        "first_ms": times.now_ms,
        "last_ms": times.now_ms,
        "pieces": len(pieces),
        "bytes": sum(one.size for one in pieces),
        "truncated": False,
    }


def _grown(key: TraceKey, row: Row[Any], new: Sequence[Packed], times: Times) -> dict[str, Any]:
    """A trace's row with new pieces. What is due already is not put off beyond its limit."""
    until = times.until_ms if row.due_ms is None else row.until_ms
    return {
        "in_project": key[0],
        "in_trace": key[1],
        "to_revision": row.revision + max(len(new), 1),
        "to_due": row.due_ms if times.due_ms is None else min(times.due_ms, until),
        "to_until": until,
        "to_last": times.now_ms,
        "to_pieces": row.pieces + len(new),
        "to_bytes": row.bytes + sum(one.size for one in new),
    }


def _locked(connection: Connection, keys: Sequence[TraceKey]) -> dict[TraceKey, Row[Any]]:
    """The rows of these traces that are there; locked on PostgreSQL, in the order of the keys."""
    projects: dict[str, list[str]] = {}
    for project, trace_id in keys:
        projects.setdefault(project, []).append(trace_id)
    return {
        (project, row.trace_id): row
        for project, names in projects.items()
        for row in connection.execute(_find_locked, {"in_project": project, "in_traces": names})
    }


_find_locked = (
    select(*_known)
    .where(
        trace.c.project == bindparam("in_project"),
        trace.c.trace_id.in_(bindparam("in_traces", expanding=True)),
    )
    .order_by(trace.c.trace_id)
    .with_for_update()
)


def _already(
    connection: Connection, one: Chunk, key: TraceKey, event_ids: Sequence[str]
) -> set[str]:
    """Which of these pieces of a trace are kept already."""
    columns = one.pieces.c
    found = select(columns.event_id).where(
        columns.project == key[0], columns.trace_id == key[1], columns.event_id.in_(event_ids)
    )
    return set(connection.scalars(found))


def _write(connection: Connection, one: Chunk, pieces: Sequence[Packed], now_ms: int) -> None:
    numbers = _numbers(connection, one, len(pieces))
    connection.execute(
        insert(one.pieces),
        [
            {
                "seq": number,
                "project": piece.project,
                "trace_id": piece.trace_id,
                "event_id": piece.event_id,
                "schema": piece.schema,
                "packing": piece.packing,
                "body": piece.body,
                "received_ms": now_ms,
            }
            for number, piece in zip(numbers, pieces, strict=True)
        ],
    )
    # sorted: neighbours go into the same page
    spans = sorted(
        {
            (span, number)
            for number, piece in zip(numbers, pieces, strict=True)
            for span in piece.spans
        }
    )
    if spans:
        _index(connection, one, spans)


def _numbers(connection: Connection, one: Chunk, count: int) -> Sequence[int]:
    """Numbers for new pieces, in order of arrival."""
    if connection.dialect.name == "sqlite":
        drawn = text("SELECT seq FROM sqlite_sequence WHERE name = :of")
        last = connection.scalar(drawn, {"of": one.pieces.name}) or 0
        return range(last + 1, last + 1 + count)
    drawn = text(
        "SELECT nextval(pg_get_serial_sequence(:of, 'seq')) FROM generate_series(1, :count)"
    )
    return sorted(connection.scalars(drawn, {"of": one.pieces.name, "count": count}))


def _index(connection: Connection, one: Chunk, spans: Sequence[tuple[int, int]]) -> None:
    """One statement by hand: SQLAlchemy's way to a row costs more than writing it (2.4 us)."""
    name = f'"{one.spans.name}"'
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"INSERT INTO {name} VALUES (?, ?)", list(spans))  # noqa: S608 - ours
        return
    ids, numbers = [span for span, _ in spans], [number for _, number in spans]
    both = text(
        f"INSERT INTO {name} SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:numbers AS bigint[]))"  # noqa: S608
    )
    connection.execute(both, {"ids": ids, "numbers": numbers})
