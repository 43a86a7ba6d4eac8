"""Deleting what need not be kept any more: whole chunks, and single traces that were not drawn."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, literal, or_, select, tuple_

from services.store import chunks
from services.store.chunks import Chunk
from services.store.claims import Claims, among
from services.store.database import Database
from services.store.faults import table_is_gone
from services.store.keeping import Times, TraceKey
from services.store.references import Reference, awaited_after, join, resolve
from services.store.tables import trace, trace_awaited, trace_hand

_HELD_MS = 7 * 86_400_000
"""How long a chunk is kept for traces that were scored and are due again. One that never was is
waited for; one that gets pieces for ever, because its id stands for everything, is not."""

_MISSED_MS = 6 * 3_600_000
"""How far back is looked for what two transactions missed of each other: they met within seconds, but
then the process may have been down."""

_A_TIME = 200  # references that are looked for in one transaction


class _Pass(NamedTuple):
    """A step through a chunk: how many traces went, how many stay, where it ended."""

    deleted: int
    held: int
    last: TraceKey | None


class Expiry:
    """Tidies the archive, in small transactions."""

    def __init__(self, database: Database, claims: Claims) -> None:
        """Delete from `database`; `claims` is told of traces that are due because of it."""
        self._database = database
        self._claims = claims

    async def run(self, *, now_ms: int, before_ms: int, limit: int) -> int:
        """Delete what was not drawn to be kept, and chunks that ended before `before_ms`."""
        deleted = 0
        while done := await self._database.write(lambda c: _drop_some(c, now_ms, limit)):
            deleted += done
        for one in await self._database.read(chunks.there):
            if one.end_ms <= before_ms:
                try:
                    deleted += await self._drop(one, before_ms=before_ms, limit=limit)
                except Exception as error:
                    if not table_is_gone(error):  # else another worker was faster
                        raise
        return deleted

    async def rejoin(self, times: Times) -> int:
        """Join what waits to traces that are here."""
        count, last = 0, None
        while True:

            def work(
                connection: Connection, after: Reference | None = last
            ) -> tuple[int, Reference | None]:
                since = times.now_ms - _MISSED_MS
                some = awaited_after(connection, after, since_ms=since, limit=_A_TIME)
                found = [(one, trace_id) for one in some if (trace_id := resolve(connection, one))]
                touched: set[TraceKey] = set()
                for one, trace_id in found:
                    current = chunks.number_at(times.now_ms)
                    touched |= set(join(connection, one, trace_id, times, current=current))
                if touched:
                    self._claims.prepare(connection, sorted(touched))
                return len(found), some[-1] if some else None

            joined, last = await self._database.write(work)
            count += joined
            if last is None:
                return count

    async def _drop(self, one: Chunk, *, before_ms: int, limit: int) -> int:
        """Delete a chunk's traces, then the chunk, unless one of them is still to be scored."""
        patient = one.end_ms > before_ms - _HELD_MS
        deleted, held, last = 0, 0, None
        while True:

            def work(connection: Connection, after: TraceKey | None = last) -> _Pass:
                return _delete_some(connection, one, after, patient=patient, limit=limit)

            step = await self._database.write(work)
            deleted, held, last = deleted + step.deleted, held + step.held, step.last
            if last is None:
                break
        if not held:
            # nothing points into it any more, and new traces go into the current chunk
            await self._database.write(lambda c: chunks.drop(c, one.number), "chunks")
        return deleted


def _delete_some(
    connection: Connection, one: Chunk, after: TraceKey | None, *, patient: bool, limit: int
) -> _Pass:
    columns = one.pieces.c
    order = columns.project, columns.trace_id
    here = select(*order).distinct().order_by(*order).limit(limit)
    if after is not None:
        here = here.where(tuple_(*order) > tuple_(*map(literal, after)))
    keys = [(row.project, row.trace_id) for row in connection.execute(here)]
    if not keys:
        return _Pass(0, 0, None)
    settled: ColumnElement[bool] = trace.c.due_ms.is_(None)
    if not patient:
        settled = or_(settled, trace.c.scored_ms.is_not(None))
    gone: list[TraceKey] = []
    held = 0
    for condition in among(trace, keys):
        mine = select(trace.c.project, trace.c.trace_id).where(
            condition, trace.c.chunk == one.number
        )
        there = len(connection.execute(mine).all())
        # a trace that is getting a piece at this moment is locked, and stays
        free = mine.where(settled).with_for_update(skip_locked=True)
        found = [(row.project, row.trace_id) for row in connection.execute(free)]
        gone += found
        held += there - len(found)
    _delete(connection, gone)
    return _Pass(len(gone), held, keys[-1])


def _drop_some(connection: Connection, now_ms: int, limit: int) -> int:
    """Traces that were not drawn to be kept, with their pieces."""
    old = (
        select(trace.c.project, trace.c.trace_id, trace.c.chunk)
        .where(trace.c.drop_ms <= now_ms, trace.c.due_ms.is_(None))
        .order_by(trace.c.drop_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    by_chunk: dict[int, list[TraceKey]] = {}
    for row in connection.execute(old):
        by_chunk.setdefault(row.chunk, []).append((row.project, row.trace_id))
    for number, keys in by_chunk.items():
        pieces = chunks.chunk(number).pieces
        for condition in among(pieces, keys):
            connection.execute(delete(pieces).where(condition))
        _delete(connection, keys)
    return sum(len(keys) for keys in by_chunk.values())


def _delete(connection: Connection, keys: Sequence[TraceKey]) -> None:
    for table in (trace_hand, trace_awaited, trace):
        for condition in among(table, keys) if keys else ():
            connection.execute(delete(table).where(condition))
