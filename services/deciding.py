"""The decision "same or new", under the project's lock, all failures of a batch in one step."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from dedup.assign import AssignedBatch, Candidate, KnownFingerprint, assign
from dedup.centroid import Centroid
from dedup.events import Assignment
from dedup.geometry import Geometry, first_geometry, moved, next_move
from dedup.medoid import due
from services.dedup_metrics import DedupMetrics, Step
from services.indexes import Indexes
from services.pattern_store import (
    Embedded,
    Kept,
    PatternReader,
    PatternStore,
    PatternWriter,
    StoredCentroid,
    Sum,
)
from services.preparing import Prepared
from services.space_centroids import all_centroids

_NEAREST = 8
"""Patterns that the index is asked for. Its vectors are rounded beyond 50 thousand patterns: the
exact distances decide among these."""
_AHEAD_EVERY = 16  # steps: between them little comes that a step has not seen
_MANY = 10_000  # texts: an index of more is filled in more than a few hundredths of a second


class Deciding:
    """Decides about a project's part of a batch."""

    def __init__(self, store: PatternStore, indexes: Indexes, metrics: DedupMetrics) -> None:
        """Decide in `store`, near what `indexes` find."""
        self._store = store
        self._indexes = indexes
        self._metrics = metrics
        self._steps: Counter[tuple[str, str]] = Counter()
        self._served: dict[str, str] = {}
        self._compared: dict[tuple[str, str], int] = {}

    async def decide(self, part: Prepared) -> Mapping[str, Assignment] | None:
        """Assignments of this part by event id; None: prepare it again, things have changed.

        Left out are failures whose text has no vector. A part in whose middle the centre moves is
        decided in several locked steps, so that what comes after is seen from there. Raises
        `Unavailable`.
        """
        if part.vectors:
            await self._ahead(part)
        filled = False
        while True:
            # it waits for a disk: not while the store is locked, of which SQLite has one writer
            await self._indexes.written(part.project, part.serving.space)
            asked = time.perf_counter()
            try:
                async with self._store.locked(part.project) as store:
                    self._metrics.add("lock", time.perf_counter() - asked)
                    step = _Step(part, store, self._indexes, self._metrics, filled=filled)
                    step.compared = self._compared
                    found = await step.open_candidates()
                    if found is None:
                        return None
                    open_, known, decided = found
                    batch, kept = await step.decided(open_, known)
                    with self._metrics.spending("keep"):
                        await store.keep(kept)
            except _ComparedAnew:  # the policy of the part may be from before
                return None
            except _NotFilled:  # it was let go, or the geometry is another one
                await self._fill(part)
                filled = True
                continue
            self._count(part, batch, kept)
            if kept.geometry is None:
                made = {one.candidate.event_id: one.assignment for one in batch.decided}
                return {**decided, **made}

    async def _ahead(self, part: Prepared) -> None:
        """What may take long, filling an index and saving it, before the lock is taken."""
        space = part.serving.space
        if self._served.get(part.project) != space:
            await self._let_go(part.project, space)
            self._served[part.project] = space
        steps = self._steps[part.project, space]
        self._steps[part.project, space] += 1
        if steps % _AHEAD_EVERY == 0:
            await self._fill(part)

    async def _let_go(self, project: str, space: str) -> None:
        """Of indexes of other spaces: they may take as much of the memory as this one will.

        The file of the one before stays, as one can go back to it; those of earlier ones go.
        """
        async with self._store.reading(project) as store:
            served = await store.served()
        others = list(dict.fromkeys(one.space for one in served if one.space != space))
        for place, other in enumerate(others):
            if place == 0:
                self._indexes.forget(project, other)
            else:
                await self._indexes.discard(project, other)

    async def _fill(self, part: Prepared) -> None:
        space = part.serving.space
        with self._metrics.spending("index"):
            async with self._store.reading(part.project) as store:
                geometry = await store.geometry(space)
                if geometry is not None:
                    counted = _Counted(store, self._metrics)
                    async with self._indexes.using(part.project, space, geometry, counted):
                        pass

    def _count(self, part: Prepared, batch: AssignedBatch, kept: Kept) -> None:
        for one in batch.decided:
            by_vector = one.assignment.decided_by != "fingerprint"
            new = one.candidate.fingerprint in part.embedded
            step: Step = ("embedding" if new else "cached") if by_vector else "fingerprint"
            self._metrics.count_decided(step, 1)
        grey = sum(one.assignment.grey for one in batch.decided)
        self._metrics.count_grey(part.project, grey)
        if kept.geometry is not None:
            self._metrics.count_move(part.project)


class _NotFilled(Exception):
    """The index would have to be filled under the lock, which others wait for."""


class _ComparedAnew(Exception):
    """A metric came into force: what decides together with it has to be read again."""


class _Step:
    """One locked step. `filled`: whether the index was filled just before it; once has to do."""

    def __init__(
        self,
        part: Prepared,
        store: PatternWriter,
        indexes: Indexes,
        metrics: DedupMetrics,
        *,
        filled: bool,
    ) -> None:
        self._filled = filled
        self.compared: dict[tuple[str, str], int] = {}
        """By project and space the number of the geometry with a metric that was seen last."""
        self._part = part
        self._store = store
        self._indexes = indexes
        self._metrics = metrics
        self._space = part.serving.space

    async def open_candidates(
        self,
    ) -> (
        tuple[Sequence[Candidate], Mapping[str, KnownFingerprint], Mapping[str, Assignment]] | None
    ):
        """What is to be decided, known fingerprints, earlier decisions; None: prepare it again."""
        part = self._part
        with self._metrics.spending("lookup"):
            serving = await self._store.serving()
            if serving is None or serving.space != self._space:
                return None  # a switch came between: texts and vectors are of the other space
            decided = await self._store.decisions([one.event_id for one in part.candidates])
            open_ = [one for one in part.candidates if one.event_id not in decided]
            asked = sorted({one.fingerprint for one in open_})
            known = await self._store.fingerprints(asked) if asked else {}
        for one in open_:
            ready = one.fingerprint in known or one.fingerprint in part.vectors
            if not ready and one.fingerprint not in part.broken | part.missing:
                return None  # it was known a moment ago: somebody split its pattern
        return open_, known, decided

    async def decided(
        self, open_: Sequence[Candidate], known: Mapping[str, KnownFingerprint]
    ) -> tuple[AssignedBatch, Kept]:
        """The decisions, and what is to be kept of them."""
        part, vectors = self._part, self._part.vectors
        new = {one.fingerprint for one in open_ if one.fingerprint not in known} & vectors.keys()
        if not new:
            batch = self._assign(open_, known, first_geometry(1), {}, {})
            return batch, Kept(space=self._space, decided=batch.decided)
        with self._metrics.spending("index"):
            before = await self._store.sum(self._space)
            before = before or Sum(0, np.zeros(len(vectors[next(iter(new))])))
            open_ = _until_it_moves(open_, new & part.embedded.keys(), before.texts)
            asked = {one.fingerprint: one for one in reversed(open_) if one.fingerprint in new}
            geometry = await self._store.geometry(self._space)
            geometry = geometry or first_geometry(len(before.total))
            self._refuse_another_metric(geometry)
            filled = self._filled or self._indexes.holds(part.project, self._space, geometry)
            if before.texts > _MANY and not filled:
                raise _NotFilled
            near = await self._near(asked, geometry)
            found = sorted({pattern_id for ids in near.values() for pattern_id in ids})
            centroids = await self._store.centroids(self._space, found) if found else {}
        batch = self._assign(open_, known, geometry, near, centroids)
        return batch, await self._kept(batch, geometry, before)

    def _refuse_another_metric(self, geometry: Geometry) -> None:
        """Raise `_ComparedAnew` at the first sight of a metric.

        `dedup calibrate` puts it in force in one step with a distance; the policy that the part was
        prepared with may be two seconds old.
        """
        key = self._part.project, self._space
        if geometry.metric is not None and self.compared.get(key) != geometry.number:
            self.compared[key] = geometry.number
            raise _ComparedAnew

    def _assign(
        self,
        open_: Sequence[Candidate],
        known: Mapping[str, KnownFingerprint],
        geometry: Geometry,
        near: Mapping[str, Sequence[str]],
        centroids: Mapping[str, tuple[str, Centroid]],
    ) -> AssignedBatch:
        policy = self._part.policy
        with self._metrics.spending("assign"):
            return assign(
                open_,
                known=known,
                vectors=self._part.vectors,
                near=near,
                centroids=centroids,
                geometry=geometry,
                distance=policy.distance,
                band=policy.grey_band,
                space=self._space,
            )

    async def _near(
        self, new: Mapping[str, Candidate], geometry: Geometry
    ) -> Mapping[str, Sequence[str]]:
        raw = np.stack([self._part.vectors[fingerprint] for fingerprint in new])
        guards = [one.guard for one in new.values()]
        counted = _Counted(self._store, self._metrics)
        project = self._part.project
        async with self._indexes.using(project, self._space, geometry, counted) as index:
            self._metrics.show_index(project, patterns=len(index), size=index.memory_bytes)
            found = index.search(geometry.placed(raw), guards, _NEAREST) if len(index) else []
        ids = [[neighbour.pattern_id for neighbour in neighbours] for neighbours in found]
        return dict(zip(new, ids, strict=False))

    async def _kept(self, batch: AssignedBatch, geometry: Geometry, before: Sum) -> Kept:
        """With the texts that are new to the space, and the centre's next place where it is due."""
        represent = self._to_represent(batch)
        added = {
            one.candidate.fingerprint: Embedded(
                one.candidate.fingerprint, one.candidate.text, one.vector
            )
            for one in batch.decided
            if one.vector is not None and one.candidate.fingerprint in self._part.embedded
        }
        if not added:
            return Kept(
                space=self._space,
                decided=batch.decided,
                centroids=batch.centroids,
                represent=represent,
            )
        vectors = np.stack([one.vector for one in added.values()])
        after = Sum(before.texts + len(added), before.total + vectors.sum(axis=0, dtype=np.float64))
        moves_at = next_move(before.texts)
        move = moves_at is not None and after.texts >= moves_at
        return Kept(
            space=self._space,
            decided=batch.decided,
            centroids=batch.centroids,
            embedded=list(added.values()),
            sum=after,
            geometry=await self._moved(geometry, batch, after.texts) if move else None,
            represent=represent,
        )

    def _to_represent(self, batch: AssignedBatch) -> Mapping[str, int]:
        """Patterns that have grown so much that their medoid may be another text."""
        if self._part.policy.representative == "first":
            return {}
        grown = Counter(
            one.assignment.pattern_id for one in batch.decided if one.vector is not None
        )
        chosen_of: dict[str, int] = {}
        for pattern_id, more in grown.items():
            texts = batch.centroids[pattern_id][1].count
            if (first := due(texts - more, texts)) is not None:
                chosen_of[pattern_id] = first
        return chosen_of

    async def _moved(self, geometry: Geometry, batch: AssignedBatch, texts: int) -> Geometry:
        centroids = await all_centroids(self._store, self._space)
        centroids.update(batch.centroids)
        return moved(geometry, [centroid for _, centroid in centroids.values()], texts)


def _until_it_moves(
    open_: Sequence[Candidate], added: AbstractSet[str], texts: int
) -> Sequence[Candidate]:
    """The candidates up to the one whose text moves the centre, all where none does.

    `added`: fingerprints of texts that are new to a space of so many texts.
    """
    moves_at = next_move(texts)
    if moves_at is None or texts + len(added) <= moves_at:
        return open_
    seen: set[str] = set()
    events: set[str] = set()  # of one that comes twice, only the first text is decided about
    for place, one in enumerate(open_):
        if one.fingerprint in added and one.event_id not in events:
            seen.add(one.fingerprint)
        events.add(one.event_id)
        if texts + len(seen) == moves_at:
            return open_[: place + 1]
    return open_


class _Counted:
    """What an index is filled from, counted."""

    def __init__(self, store: PatternReader, metrics: DedupMetrics) -> None:
        self._store = store
        self._metrics = metrics

    async def centroids_after(
        self, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredCentroid]:
        """Centroids that changed after `seq`."""
        stored = await self._store.centroids_after(space, seq, limit=limit)
        self._metrics.count_caught_up(len(stored))
        return stored
