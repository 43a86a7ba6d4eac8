"""Traces as they came, and which of them are due."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, update

from services.archive import NEVER_MS, ArchivedPiece, Claim
from services.errors import Unavailable
from services.store import chunks
from services.store.claims import Claims
from services.store.database import Database
from services.store.expiry import Expiry
from services.store.faults import table_is_gone
from services.store.keeping import PARDONED, Packed, Times, TraceKey, keep
from services.store.pieces import each, pack, span_key
from services.store.references import Reference, awaited_spans, join, resolve, wait
from services.store.tables import project, trace
from services.store.upsert import absorbing

_add_project = absorbing(project)
_rescore = (
    update(trace)
    .where(trace.c.project == bindparam("in_project"), trace.c.trace_id == bindparam("of"))
    .values(**PARDONED, due_ms=bindparam("due"), revision=trace.c.revision + 1)
)


class TraceArchive:
    """`services.archive.Archive`, and the deletion of what is older than the retention."""

    def __init__(self, database: Database, claims: Claims) -> None:
        """Keep traces in `database`; `claims` hands them out."""
        self._database = database
        self._claims = claims
        self._known: set[str] = set()
        self._made: set[int] = set()
        self._expiry = Expiry(database, claims)

    async def add(
        self,
        pieces: Sequence[ArchivedPiece],
        *,
        now_ms: int,
        due_ms: int,
        until_ms: int = NEVER_MS,
        again: bool = False,
    ) -> int:
        """Keep pieces (each once, by project, trace and event id); return how many were new.

        Traces that gained a piece become due at `due_ms`, but not later than what was `until_ms` when
        the first piece came that has not been scored. With `again` all of them become due, and none
        counts as scored any more. Raises `Unavailable`.
        """
        if not pieces:
            return 0
        current = chunks.number_at(now_ms)
        await self._make(current)
        packed = await each(_packed, pieces, sum(len(one.body) for one in pieces))
        direct = [one for one, piece in zip(packed, pieces, strict=True) if piece.names == "trace"]
        naming = [one for one, piece in zip(packed, pieces, strict=True) if piece.names != "trace"]
        names = sorted({one.project for one in pieces} - self._known)
        times = Times(now_ms, due_ms, until_ms)

        def work(connection: Connection) -> int:
            if names:
                new = [{"project": name, "first_ms": now_ms} for name in names]
                connection.execute(_add_project, new)
            count, touched = 0, set[TraceKey]()
            if direct:
                kept = keep(connection, direct, times, current=current, again=again)
                count, touched = kept.new, set(kept.touched)
                for reference, trace_id in awaited_spans(connection, direct):
                    touched |= set(join(connection, reference, trace_id, times, current=current))
            if naming:
                added, due = _keep_naming(connection, naming, times, current)
                count, touched = count + added, touched | set(due)
            if touched:
                self._claims.prepare(connection, sorted(touched))
            return count

        try:
            count = await self._database.write(work)
        except Exception as error:
            self._made.clear()  # whatever it was: the next one looks whether the chunk is there
            if table_is_gone(error):
                message = f"the store {self._database.name} is dropping a chunk of the archive"
                raise Unavailable(message) from error
            raise
        self._known.update(names)
        return count

    async def rescore(self, project: str, trace_id: str, *, due_ms: int) -> bool:
        """Make a trace due that counts as scored no more; False when it is not here (any more).

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

    async def expire(self, *, now_ms: int, before_ms: int, limit: int = 1000) -> int:
        """Delete what need not be kept at `now_ms` and what came before `before_ms`.

        In transactions of up to `limit` traces. Returns how many were deleted. Raises `Unavailable`.
        """
        return await self._expiry.run(now_ms=now_ms, before_ms=before_ms, limit=limit)

    async def rejoin(self, *, now_ms: int, due_ms: int, until_ms: int = NEVER_MS) -> int:
        """Join feedback that waits to traces that are here after all; return how much was joined.

        Two transactions may miss each other: one brings the span, one the feedback on it. Raises
        `Unavailable`.
        """
        return await self._expiry.rejoin(Times(now_ms, due_ms, until_ms))

    async def close(self) -> None:
        """Let go of claims that are still open."""
        await self._claims.close()

    async def _make(self, number: int) -> None:
        if number not in self._made:
            await self._database.write(lambda connection: chunks.make(connection, number), "chunks")
            self._made.add(number)


def _packed(one: ArchivedPiece) -> Packed:
    packing, body = pack(one.body)
    spans = [span_key(span) for span in one.spans]
    return Packed(
        one.project, one.trace_id, one.event_id, one.schema, packing, body, len(one.body), spans
    )


def _keep_naming(
    connection: Connection, pieces: Sequence[Packed], times: Times, current: int
) -> tuple[int, Sequence[TraceKey]]:
    """Keep feedback that names a span or a session: with its trace, or waiting for it."""
    places = {
        key: resolve(connection, Reference(*key)) for key in sorted({one.key for one in pieces})
    }
    found = [
        one._replace(trace_id=trace_id)
        for one in pieces
        if (trace_id := places[one.key]) is not None
    ]
    waiting = [one for one in pieces if places[one.key] is None]
    count, touched = 0, list[TraceKey]()
    if found:
        kept = keep(connection, found, times, current=current)
        count, touched = kept.new, list(kept.touched)
    if waiting:
        count += keep(connection, waiting, times._replace(due_ms=None), current=current).new
        wait(connection, [Reference(*key) for key in sorted({one.key for one in waiting})])
    return count, touched
