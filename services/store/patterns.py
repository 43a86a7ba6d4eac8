"""Patterns, their vectors, fingerprints and occurrences."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, insert, select, update

from capture.events import Fault
from dedup.assign import Decided, KnownFingerprint
from dedup.events import Assignment
from services.deduper import PatternReader, PatternWriter, StoredPattern
from services.store.database import Database, Session
from services.store.tables import occurrence, pattern, pattern_fingerprint, pattern_vector
from services.store.upsert import absorbing

_add_fingerprint = absorbing(pattern_fingerprint)

_latest = bindparam("latest", type_=pattern.c.last_failed_at.type)
_earliest = bindparam("earliest", type_=pattern.c.first_failed_at.type)
_count = (
    update(pattern)
    .where(
        pattern.c.project == bindparam("in_project"), pattern.c.pattern_id == bindparam("counted")
    )
    .values(
        occurrences=pattern.c.occurrences + bindparam("more"),
        first_failed_at=case(
            (pattern.c.first_failed_at > _earliest, _earliest), else_=pattern.c.first_failed_at
        ),
        last_failed_at=case(
            (pattern.c.last_failed_at < _latest, _latest), else_=pattern.c.last_failed_at
        ),
    )
)


_change_fault = [
    update(table)
    .where(
        table.c.project == bindparam("in_project"),
        table.c.event_id == bindparam("of_event"),
        table.c.fault != bindparam("now"),
    )
    .values(fault=bindparam("now"))
    for table in (occurrence, pattern)
]


class Patterns:
    """`services.deduper.PatternStore`."""

    def __init__(self, database: Database) -> None:
        """Keep patterns in `database`."""
        self._database = database

    @asynccontextmanager
    async def reading(self, project: str) -> AsyncIterator[PatternReader]:
        """A look without a lock. Raises `Unavailable`."""
        async with self._database.reading() as session:
            yield _Reader(session, project)

    async def change_faults(self, project: str, faults: Mapping[str, Fault]) -> None:
        """Note whose failures these are, by event id, where that has changed. Raises `Unavailable`."""
        rows = [
            {"in_project": project, "of_event": event_id, "now": fault}
            for event_id, fault in sorted(faults.items())
        ]
        if rows:
            await self._database.write(lambda connection: _change_faults(connection, rows))

    @asynccontextmanager
    async def locked(self, project: str) -> AsyncIterator[PatternWriter]:
        """The project's dedup lock; commits on leaving. Raises `Unavailable`."""
        async with self._database.writing("dedup", project) as session:
            yield _Writer(session, project)


def _change_faults(connection: Connection, rows: list[dict[str, Any]]) -> None:
    for change in _change_fault:
        connection.execute(change, rows)


class _Reader:
    """What was decided before, in one session."""

    def __init__(self, session: Session, project: str) -> None:
        self._session = session
        self._project = project

    async def decisions(self, event_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """The decisions on these events, where there are any."""
        asked = self._decisions(event_ids)
        rows = await self._session.run(lambda connection: connection.execute(asked).all())
        return {
            row.event_id: Assignment(
                pattern_id=row.pattern_id,
                decided_by=row.decided_by,
                distance=row.distance,
                nearest_distance=row.nearest_distance,
                fingerprint=row.fingerprint,
                embedding_space=row.space,
            )
            for row in rows
        }

    async def fingerprints(self, fingerprints: Sequence[str]) -> Mapping[str, KnownFingerprint]:
        """The patterns of these fingerprints, where they are known."""
        table = pattern_fingerprint
        asked = select(table.c.fingerprint, table.c.pattern_id, table.c.distance).where(
            table.c.project == self._project, table.c.fingerprint.in_(fingerprints)
        )
        rows = await self._session.run(lambda connection: connection.execute(asked).all())
        return {row.fingerprint: KnownFingerprint(row.pattern_id, row.distance) for row in rows}

    def _decisions(self, event_ids: Sequence[str]) -> Select[Any]:
        return select(occurrence).where(
            occurrence.c.project == self._project, occurrence.c.event_id.in_(event_ids)
        )


class _Writer(_Reader):
    """The same under the lock, and the means to decide."""

    async def patterns_after(self, space: str, seq: int) -> Sequence[StoredPattern]:
        """Patterns of an embedding space with a higher `seq`, in order."""
        table = pattern_vector
        newer = (
            select(table.c.seq, table.c.pattern_id, table.c.vector)
            .where(table.c.project == self._project, table.c.space == space, table.c.seq > seq)
            .order_by(table.c.seq)
        )
        rows = await self._session.run(lambda connection: connection.execute(newer).all())
        return [StoredPattern(row.seq, row.pattern_id, row.vector) for row in rows]

    async def keep(self, decided: Sequence[Decided]) -> None:
        """Keep decisions; of an event that is decided twice or already, the first decision."""
        if decided:
            await self._session.run(lambda connection: self._keep(connection, decided))

    def _keep(self, connection: Connection, decided: Sequence[Decided]) -> None:
        asked: dict[str, Decided] = {}
        for one in decided:
            asked.setdefault(one.candidate.event_id, one)
        known = {row.event_id for row in connection.execute(self._decisions(list(asked)))}
        new = [one for event_id, one in asked.items() if event_id not in known]
        if not new:
            return
        self._keep_patterns(connection, [one for one in new if one.vector is not None])
        fingerprints = [self._fingerprint_row(one) for one in new]
        connection.execute(_add_fingerprint, fingerprints)
        connection.execute(insert(occurrence), [self._occurrence_row(one) for one in new])
        connection.execute(_count, self._counts(new))

    def _keep_patterns(self, connection: Connection, new: Sequence[Decided]) -> None:
        if not new:
            return
        spaces = sorted({one.assignment.embedding_space for one in new})
        latest = connection.execute(
            select(pattern_vector.c.space, func.max(pattern_vector.c.seq).label("seq"))
            .where(pattern_vector.c.project == self._project, pattern_vector.c.space.in_(spaces))
            .group_by(pattern_vector.c.space)
        )
        seqs = Counter({row.space: row.seq for row in latest})
        vectors = []
        for one in new:
            seqs[one.assignment.embedding_space] += 1
            vectors.append(self._vector_row(one, seqs[one.assignment.embedding_space]))
        connection.execute(insert(pattern), [self._pattern_row(one) for one in new])
        connection.execute(insert(pattern_vector), vectors)

    def _counts(self, new: Sequence[Decided]) -> list[dict[str, Any]]:
        times: dict[str, list[Any]] = {}
        for one in new:
            times.setdefault(one.assignment.pattern_id, []).append(one.candidate.failed_at)
        return [
            {
                "in_project": self._project,
                "counted": pattern_id,
                "more": len(failed_at),
                "earliest": min(failed_at),
                "latest": max(failed_at),
            }
            for pattern_id, failed_at in sorted(times.items())
        ]

    def _pattern_row(self, one: Decided) -> dict[str, Any]:
        return {
            "project": self._project,
            "pattern_id": one.assignment.pattern_id,
            "space": one.assignment.embedding_space,
            "text": one.candidate.text,
            "event_id": one.candidate.event_id,
            "trace_id": one.candidate.trace_id,
            "occurrences": 0,
            "first_failed_at": one.candidate.failed_at,
            "last_failed_at": one.candidate.failed_at,
            "fault": one.candidate.fault,
        }

    def _vector_row(self, one: Decided, seq: int) -> dict[str, Any]:
        if one.vector is None:
            message = f"pattern {one.assignment.pattern_id} has no vector"
            raise ValueError(message)
        return {
            "project": self._project,
            "space": one.assignment.embedding_space,
            "seq": seq,
            "pattern_id": one.assignment.pattern_id,
            "vector": one.vector.astype("<f4", copy=False).tobytes(),
        }

    def _fingerprint_row(self, one: Decided) -> dict[str, Any]:
        return {
            "project": self._project,
            "fingerprint": one.assignment.fingerprint,
            "pattern_id": one.assignment.pattern_id,
            "distance": one.assignment.distance,
        }

    def _occurrence_row(self, one: Decided) -> dict[str, Any]:
        return {
            "project": self._project,
            "event_id": one.candidate.event_id,
            "trace_id": one.candidate.trace_id,
            "pattern_id": one.assignment.pattern_id,
            "decided_by": one.assignment.decided_by,
            "distance": one.assignment.distance,
            "nearest_distance": one.assignment.nearest_distance,
            "fingerprint": one.assignment.fingerprint,
            "space": one.assignment.embedding_space,
            "failed_at": one.candidate.failed_at,
            "fault": one.candidate.fault,
        }
