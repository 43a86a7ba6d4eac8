"""Every pattern's centroid in a space: read, and laid anew from the texts that patterns have."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np

from dedup.centroid import Centroid
from dedup.geometry import Geometry, first_geometry, moved, next_move
from services.pattern_store import (
    Embeddings,
    Kept,
    PatternReader,
    PatternStore,
    PatternWriter,
    StoredEmbedding,
)

_PAGE = 5_000  # centroids, or texts, read at once: 8 MB

Check = Callable[[PatternReader], Awaitable[None]]
"""Raises where a locked step must not be taken any more."""


async def all_centroids(store: PatternReader, space: str) -> dict[str, tuple[str, Centroid]]:
    """Guard and centroid of every pattern of a space, by pattern id. Raises `Unavailable`."""
    found: dict[str, tuple[str, Centroid]] = {}
    seq = 0
    while page := await store.centroids_after(space, seq, limit=_PAGE):
        for row in page:
            if row.count:
                centroid = Centroid(np.frombuffer(row.total, "<f4"), row.count)
                found[row.pattern_id] = (row.guard, centroid)
        seq = page[-1].seq
    return found


async def add_to_centroids(
    store: PatternWriter, space: str, added: Sequence[tuple[StoredEmbedding, np.ndarray]]
) -> None:
    """Move patterns' centroids by a few texts, under the lock. Raises `Unavailable`."""
    ids = sorted({one.pattern_id for one, _ in added if one.pattern_id is not None})
    centroids = dict(await store.centroids(space, ids)) if ids else {}
    for one, vector in added:
        if one.pattern_id is not None:
            zero = (one.guard, Centroid(np.zeros_like(vector), 0))
            guard, centroid = centroids.get(one.pattern_id, zero)
            centroids[one.pattern_id] = (guard, centroid.with_one(vector))
    if centroids:
        await store.keep(Kept(space=space, decided=(), centroids=centroids))


class SpaceCentroids:
    """Lays the centroids of a space that does not serve."""

    def __init__(self, store: PatternStore, embeddings: Embeddings) -> None:
        """Read from and write to the store."""
        self._store = store
        self._embeddings = embeddings

    async def lay(self, project: str, space: str, check: Check) -> int:
        """Bring every centroid to what patterns are now, then the centre; how many patterns.

        `check` is asked under the lock before anything is written: what was read before is not what
        there is in a space that has come to serve. Raises `Unavailable`, and what `check` raises.
        """
        wanted = await self._wanted(project, space)
        async with self._store.reading(project) as store:
            there = await all_centroids(store, space)
        changed = {key: one for key, one in wanted.items() if not _same(there.get(key), one)}
        for key, (guard, centroid) in there.items():
            if key not in wanted:
                changed[key] = (guard, Centroid(np.zeros_like(centroid.total), 0))
        ids = sorted(changed)
        for start in range(0, len(ids), _PAGE):
            centroids = {key: changed[key] for key in ids[start : start + _PAGE]}
            async with self._store.locked(project) as store:
                await check(store)
                await store.keep(Kept(space=space, decided=(), centroids=centroids))
        async with self._store.locked(project) as store:
            await check(store)
            geometry = await _due_geometry(store, space, wanted)
            if geometry is not None:
                total = await store.sum(space)
                await store.keep(Kept(space=space, decided=(), sum=total, geometry=geometry))
        return len(wanted)

    async def _wanted(self, project: str, space: str) -> dict[str, tuple[str, Centroid]]:
        """Each pattern's centroid, from the vectors of its texts."""
        totals: dict[str, tuple[str, np.ndarray, int]] = {}
        seq = 0
        while page := await self._embeddings.after(project, space, seq, limit=_PAGE):
            for one in page:
                if one.pattern_id is not None:
                    guard, total, count = totals.get(one.pattern_id, (one.guard, 0.0, 0))
                    totals[one.pattern_id] = (guard, total + one.vector, count + 1)
            seq = page[-1].seq
        return {
            key: (guard, Centroid(total.astype(np.float32), count))
            for key, (guard, total, count) in totals.items()
        }


async def _due_geometry(
    store: PatternReader, space: str, centroids: Mapping[str, tuple[str, Centroid]]
) -> Geometry | None:
    """The space's next geometry, where it has grown enough since its centre moved last."""
    total = await store.sum(space)
    moves = [one for one in await store.moves(space) if one.kind == "centre"]
    due = next_move(moves[-1].texts if moves else 0)
    if total is None or due is None or total.texts < due:
        return None
    now = await store.geometry(space) or first_geometry(len(total.total))
    return moved(now, [centroid for _, centroid in centroids.values()], total.texts)


def _same(there: tuple[str, Centroid] | None, wanted: tuple[str, Centroid]) -> bool:
    if there is None or there[0] != wanted[0] or there[1].count != wanted[1].count:
        return False
    return bool(np.allclose(there[1].total, wanted[1].total, atol=1e-4))
