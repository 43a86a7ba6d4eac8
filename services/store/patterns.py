"""Patterns as dedup reads and decides them, in one session of the store."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from capture.events import Fault
from dedup.assign import KnownFingerprint
from dedup.centroid import Centroid
from dedup.events import Assignment
from dedup.geometry import Geometry
from services.pattern_store import (
    GeometryMove,
    Kept,
    PatternReader,
    PatternWriter,
    Serving,
    StoredCentroid,
    Sum,
)
from services.store import centroids, embeddings, geometries, medoids, pattern_rows
from services.store.database import Database, Session

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Patterns:
    """`services.pattern_store.PatternStore`."""

    def __init__(self, database: Database, clock: Clock = _utc_now) -> None:
        """Keep patterns in `database`. `clock` dates the moves of the centre."""
        self._database = database
        self._clock = clock

    @asynccontextmanager
    async def reading(self, project: str) -> AsyncIterator[PatternReader]:
        """A look without a lock. Raises `Unavailable`."""
        async with self._database.reading() as session:
            yield _Reader(session, project)

    @asynccontextmanager
    async def locked(self, project: str) -> AsyncIterator[PatternWriter]:
        """The project's dedup lock; commits on leaving. Raises `Unavailable`."""
        async with self._database.writing("dedup", project) as session:
            yield _Writer(session, project, self._clock)

    async def change_faults(self, project: str, faults: Mapping[str, Fault]) -> None:
        """Note whose failures these are, by event id, where that has changed. Raises `Unavailable`."""
        if faults:
            await self._database.write(
                lambda connection: pattern_rows.change_faults(connection, project, faults)
            )


class _Reader:
    """`services.pattern_store.PatternReader`, in one session."""

    def __init__(self, session: Session, project: str) -> None:
        self._session = session
        self._project = project

    async def decisions(self, event_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """The decisions on these events, where there are any."""
        return await self._session.run(
            lambda connection: pattern_rows.decisions(connection, self._project, event_ids)
        )

    async def fingerprints(self, fingerprints: Sequence[str]) -> Mapping[str, KnownFingerprint]:
        """The patterns of these fingerprints, where they are known."""
        return await self._session.run(
            lambda connection: pattern_rows.fingerprints(connection, self._project, fingerprints)
        )

    async def embedded(self, space: str, fingerprints: Sequence[str]) -> Mapping[str, np.ndarray]:
        """The raw vectors of these fingerprints, where the space has them."""
        return await self._session.run(
            lambda connection: embeddings.vectors_of(connection, self._project, space, fingerprints)
        )

    async def serving(self) -> Serving | None:
        """The space that serves the project."""
        return await self._session.run(
            lambda connection: geometries.serving(connection, self._project)
        )

    async def served(self) -> Sequence[Serving]:
        """Every space that served the project, the latest first."""
        return await self._session.run(
            lambda connection: geometries.served(connection, self._project)
        )

    async def geometry(self, space: str) -> Geometry | None:
        """The space's geometry in force."""
        return await self._session.run(
            lambda connection: geometries.geometry_of(connection, self._project, space)
        )

    async def moves(self, space: str) -> Sequence[GeometryMove]:
        """Every geometry the space had, the first one first."""
        return await self._session.run(
            lambda connection: geometries.moves(connection, self._project, space)
        )

    async def sum(self, space: str) -> Sum | None:
        """What the centre is computed from."""
        return await self._session.run(
            lambda connection: embeddings.sum_of(connection, self._project, space)
        )

    async def centroids(
        self, space: str, pattern_ids: Sequence[str]
    ) -> Mapping[str, tuple[str, Centroid]]:
        """Guards and exact centroids of these patterns, as far as they are there and not gone."""
        return await self._session.run(
            lambda connection: centroids.centroids_of(connection, self._project, space, pattern_ids)
        )

    async def centroids_after(
        self, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredCentroid]:
        """Centroids that changed after `seq`, the earliest first, at most `limit`."""
        return await self._session.run(
            lambda connection: centroids.centroids_after(
                connection, self._project, space, seq, limit
            )
        )


class _Writer(_Reader):
    """`services.pattern_store.PatternWriter`, under the project's lock."""

    def __init__(self, session: Session, project: str, clock: Clock) -> None:
        super().__init__(session, project)
        self._clock = clock
        self._open: set[str] = set()

    async def decisions(self, event_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """The decisions on these events, where there are any; nobody else decides meanwhile."""
        decided = await super().decisions(event_ids)
        self._open.update(one for one in event_ids if one not in decided)
        return decided

    async def serve(self, serving: Serving) -> None:
        """Have a space serve the project from now on."""
        await self._session.run(
            lambda connection: geometries.serve(connection, self._project, serving)
        )

    async def move(self, move: GeometryMove) -> None:
        """Put a geometry in force outside a decision."""
        await self._session.run(lambda connection: geometries.move(connection, self._project, move))

    async def keep(self, kept: Kept) -> None:
        """Keep decisions; of an event that is decided twice or already, the first decision."""
        await self._session.run(lambda connection: self._keep(connection, kept))

    def _keep(self, connection: Connection, kept: Kept) -> None:
        project, space = self._project, kept.space
        new = pattern_rows.undecided(connection, project, kept.decided, self._open)
        self._open.difference_update(one.candidate.event_id for one in new)
        if new:
            pattern_rows.add_patterns(connection, project, new)
            pattern_rows.add_occurrences(connection, project, new)
        if kept.centroids:
            centroids.put_centroids(connection, project, space, kept.centroids)
        if kept.embedded:
            guards = {one.candidate.fingerprint: one.candidate.guard for one in kept.decided}
            embeddings.add(connection, project, space, kept.embedded, guards)
        if kept.sum is not None:
            embeddings.put_sum(connection, project, space, kept.sum)
        # as the texts were seen: had they come one by one, the centre had not moved yet
        medoids.grown(connection, project, space, kept.represent)
        if kept.geometry is not None:
            texts = 0 if kept.sum is None else kept.sum.texts
            move = GeometryMove(
                space=space,
                geometry=kept.geometry,
                kind="centre",
                texts=texts,
                by="dedup",
                reason=f"the centre of the first {texts} distinct texts",
                at=self._clock(),
            )
            geometries.move(connection, project, move)
