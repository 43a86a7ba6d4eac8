"""Traces as they came, and which of them are due."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from services.archive import ArchivedPiece, Claim
from services.store.claims import Claims, TraceKey, among
from services.store.database import Database
from services.store.pieces import each, pack
from services.store.tables import project, trace, trace_hand, trace_piece
from services.store.upsert import absorbing, merging

_add_project = absorbing(project)
_add_piece = absorbing(trace_piece).returning(
    trace_piece.c.project, trace_piece.c.trace_id, trace_piece.c.event_id
)
_touch_trace = merging(
    trace,
    revision="trace.revision + excluded.revision",
    due_ms="excluded.due_ms",
    last_ms="excluded.last_ms",
    pieces="trace.pieces + excluded.pieces",
    bytes="trace.bytes + excluded.bytes",
)
_again = update(trace).where(
    trace.c.project == bindparam("in_project"), trace.c.trace_id == bindparam("of")
)
_pardon = _again.values(failed=False)
_rescore = _again.values(failed=False, due_ms=bindparam("due"), revision=trace.c.revision + 1)


class TraceArchive:
    """`services.archive.Archive`, and the deletion of what is older than the retention."""

    def __init__(self, database: Database, claims: Claims) -> None:
        """Keep traces in `database`; `claims` hands them out."""
        self._database = database
        self._claims = claims
        self._known: set[str] = set()

    async def add(
        self, pieces: Sequence[ArchivedPiece], *, now_ms: int, due_ms: int, again: bool = False
    ) -> int:
        """Keep pieces (each once, by project, trace and event id); return how many were new.

        Traces that gained a piece become due at `due_ms`; with `again`, all of them do, and none
        counts as failed any more. Raises `Unavailable`.
        """
        unique: dict[tuple[str, str, str], ArchivedPiece] = {}
        for one in pieces:
            unique.setdefault((one.project, one.trace_id, one.event_id), one)
        if not unique:
            return 0
        # sorted by trace, so that two writers of the same traces never wait for each other crosswise;
        # within a trace the order of arrival stays
        ordered = sorted(unique.values(), key=lambda one: (one.project, one.trace_id))
        sizes = {key: len(one.body) for key, one in unique.items()}
        bodies = await each(lambda one: pack(one.body), ordered, sum(sizes.values()))
        rows = [
            _piece_row(one, packing, body, now_ms)
            for one, (packing, body) in zip(ordered, bodies, strict=True)
        ]
        names = sorted({one.project for one in ordered} - self._known)

        def work(connection: Connection) -> int:
            if names:
                new = [{"project": name, "first_ms": now_ms} for name in names]
                connection.execute(_add_project, new)
            added = [tuple(row) for row in connection.execute(_add_piece, rows)]
            touched = Counter({(one.project, one.trace_id): 0 for one in ordered} if again else {})
            grown = Counter(touched)
            for key in added:
                touched[key[:2]] += 1
                grown[key[:2]] += sizes[key]
            keys = sorted(touched)
            if keys:
                traces = [_trace_row(key, touched[key], grown[key], now_ms, due_ms) for key in keys]
                connection.execute(_touch_trace, traces)
                if again:
                    connection.execute(_pardon, [{"in_project": p, "of": t} for p, t in keys])
                self._claims.prepare(connection, keys)
            return len(added)

        count = await self._database.write(work)
        self._known.update(names)
        return count

    async def rescore(self, project: str, trace_id: str, *, due_ms: int) -> bool:
        """Make a trace due that counts as failed no more; False when it is not here (any more).

        Raises `Unavailable`.
        """
        row = {"in_project": project, "of": trace_id, "due": due_ms}
        done = await self._database.write(lambda connection: connection.execute(_rescore, row))
        return done.rowcount > 0

    async def claim_due(self, *, now_ms: int, limit: int) -> Claim:
        """Take up to `limit` due traces, longest due first, that no other worker has in hand.

        Fewer when they are large. Raises `Unavailable`.
        """
        return await self._claims.take(now_ms, limit)

    async def expire(self, *, before_ms: int, limit: int) -> int:
        """Delete up to `limit` settled traces that got nothing since `before_ms`, with their pieces.

        Returns how many were deleted. Raises `Unavailable`.
        """
        old = (
            select(trace.c.project, trace.c.trace_id)
            .where(trace.c.due_ms.is_(None), trace.c.last_ms < before_ms)
            .order_by(trace.c.last_ms)
            .limit(limit)
            # a trace that is getting a piece at this moment is locked, and no longer old
            .with_for_update(skip_locked=True)
        )

        def work(connection: Connection) -> int:
            keys = [(row.project, row.trace_id) for row in connection.execute(old)]
            for table in (trace_piece, trace_hand, trace):
                for condition in among(table, keys):
                    connection.execute(delete(table).where(condition))
            return len(keys)

        return await self._database.write(work)

    async def close(self) -> None:
        """Let go of claims that are still open."""
        await self._claims.close()


def _piece_row(one: ArchivedPiece, packing: int, body: bytes, now_ms: int) -> dict[str, Any]:
    return {
        "project": one.project,
        "trace_id": one.trace_id,
        "event_id": one.event_id,
        "schema": one.schema,
        "packing": packing,
        "body": body,
        "received_ms": now_ms,
    }


def _trace_row(key: TraceKey, pieces: int, size: int, now_ms: int, due_ms: int) -> dict[str, Any]:
    return {
        "project": key[0],
        "trace_id": key[1],
        "revision": max(pieces, 1),
        "failed": False,
        "due_ms": due_ms,
        "first_ms": now_ms,
        "last_ms": now_ms,
        "pieces": pieces,
        "bytes": size,
    }
