"""What people ask the archive: a trace by its id, what came of it, what was found, how large it all is."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from services.archive import ArchivedPiece, ArchiveSize, TraceRow, TraceState
from services.store import chunks
from services.store.database import Database
from services.store.keeping import TraceKey
from services.store.pieces import span_key, unpack
from services.store.tables import project as known_project
from services.store.tables import trace

_SHOWN = 20  # traces of one id: one a project


class ArchiveReader:
    """`services.archive.ArchiveReading`."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def find(self, trace_id: str, *, project: str | None) -> Sequence[TraceRow]:
        """Traces of this id, of one project or of all; by a span's id, the trace it is in.

        Raises `Unavailable`.
        """

        def work(connection: Connection) -> Sequence[TraceRow]:
            found = _by_id(connection, trace_id, project)
            if found or not trace_id:
                return found
            keys = _with_span(connection, trace_id, project)
            return [row for of, name in keys for row in _by_id(connection, name, of)]

        return await self._database.read(work)

    async def pieces_of(self, project: str, trace_id: str) -> Sequence[ArchivedPiece]:
        """All that came of a trace, in order of arrival. Raises `Unavailable`."""

        def work(connection: Connection) -> Sequence[Row[Any]]:
            mine = trace.c.project == project, trace.c.trace_id == trace_id
            number = connection.scalar(select(trace.c.chunk).where(*mine))
            if number is None:
                return ()
            pieces = chunks.chunk(number).pieces
            here = pieces.c.project == project, pieces.c.trace_id == trace_id
            return connection.execute(select(pieces).where(*here).order_by(pieces.c.seq)).all()

        rows = await self._database.read(work)
        return [
            ArchivedPiece(
                row.project, row.trace_id, row.event_id, row.schema, unpack(row.packing, row.body)
            )
            for row in rows
        ]

    async def latest(
        self, *, project: str | None, state: TraceState | None, limit: int
    ) -> Sequence[TraceRow]:
        """Traces, those that got something last first. Raises `Unavailable`.

        No index serves this order: it looks at every trace, once.
        """
        query = select(trace).order_by(trace.c.last_ms.desc(), trace.c.trace_id).limit(limit)
        if project is not None:
            query = query.where(trace.c.project == project)
        if state is not None:
            query = query.where(trace.c.state == state)
        return await self._database.read(lambda c: [_shown(row) for row in c.execute(query)])

    async def size(self) -> ArchiveSize:
        """How much is kept. Raises `Unavailable`."""

        def work(connection: Connection) -> ArchiveSize:
            there = chunks.there(connection)
            oldest = there[-1].end_ms - chunks.CHUNK_MS if there else None
            return ArchiveSize(chunks.size(connection), len(there), oldest)

        return await self._database.read(work)


def _by_id(connection: Connection, trace_id: str, project: str | None) -> list[TraceRow]:
    if "\x00" in trace_id:  # no id has one, and PostgreSQL takes none
        return []
    query = select(trace).where(trace.c.trace_id == trace_id)
    # the index begins with the project
    among = select(known_project.c.project) if project is None else (project,)
    query = query.where(trace.c.project.in_(among))
    return [
        _shown(row) for row in connection.execute(query.order_by(trace.c.project).limit(_SHOWN))
    ]


def _with_span(connection: Connection, span_id: str, project: str | None) -> list[TraceKey]:
    found: list[TraceKey] = []
    for one in chunks.there(connection):
        pieces, spans = one.pieces.c, one.spans.c
        query = (
            select(pieces.project, pieces.trace_id)
            .distinct()
            .join(one.spans, spans.piece == pieces.seq)
            .where(spans.span == span_key(span_id))
        )
        if project is not None:
            query = query.where(pieces.project == project)
        found += [(row.project, row.trace_id) for row in connection.execute(query.limit(_SHOWN))]
    return sorted(set(found))


def _shown(row: Row[Any]) -> TraceRow:
    known = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    fields = {name: known[name] for name in TraceRow.__struct_fields__ if name in known}
    listed = {name: tuple(known[name] or ()) for name in ("failing", "problems")}
    return TraceRow(**(fields | listed | {"chunk_end_ms": chunks.chunk(row.chunk).end_ms}))
