"""What patterns would do in another space: which would merge, and which would lose members.

Patterns keep their ids when a project is switched, and nothing is merged or split by it. The
preview tells whether they still make sense there: patterns whose centroids come nearer than the
dedup distance would have been one, texts farther than that from their centroid another pattern.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from dedup.centroid import Centroid
from dedup.geometry import FARTHEST, Geometry, first_geometry
from dedup.index import Index
from services.pattern_store import Embeddings, PatternStore
from services.reembedding import SpaceRecords
from services.space_centroids import all_centroids

_READ = 5_000
_NEAREST = 6  # itself, and the nearest five
_SEARCHED = 500  # centroids a search
_EXAMPLES = 5
_DECIMALS = 6  # of a distance, as `dedup.assign` compares them


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two patterns that would be one, or a pattern and a text that would leave it."""

    distance: float
    first: str
    first_text: str
    first_occurrences: int
    second: str | None = None
    second_text: str = ""
    second_occurrences: int | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A project's patterns as a space shows them, at a distance.

    `merging`: patterns that would disappear into others. `splitting`: patterns with texts that
    would leave them, `leaving` of these texts. `merges` and `splits` are examples, the most telling
    first.
    """

    space: str
    distance: float
    patterns: int
    texts: int
    merging: int
    splitting: int
    leaving: int
    merges: Sequence[Pair] = ()
    splits: Sequence[Pair] = ()


class _Leaving(msgspec.Struct, frozen=True, order=True):
    distance: float
    pattern_id: str
    text: str


class SpacePreview:
    """Looks at the patterns of a project in one of its spaces. Nothing is changed."""

    def __init__(self, store: PatternStore, embeddings: Embeddings, records: SpaceRecords) -> None:
        """Read from the store."""
        self._store = store
        self._embeddings = embeddings
        self._records = records

    async def look(self, project: str, space: str, *, distance: float) -> Look | None:
        """The patterns in this space; None while it is empty. Raises `Unavailable`."""
        async with self._store.reading(project) as store:
            total = await store.sum(space)
            if total is None:
                return None
            geometry = await store.geometry(space) or first_geometry(len(total.total))
            patterns = await all_centroids(store, space)
        near = _nearest_pairs(patterns, geometry, distance)
        texts, leaving = await self._leaving(project, space, patterns, geometry, distance)
        return await self._shown(project, space, distance, len(patterns), texts, near, leaving)

    async def _leaving(
        self,
        project: str,
        space: str,
        patterns: Mapping[str, tuple[str, Centroid]],
        geometry: Geometry,
        distance: float,
    ) -> tuple[int, list[_Leaving]]:
        """How many texts there are, and those farther from their centroid than the distance."""
        leaving: list[_Leaving] = []
        seq = texts = 0
        while page := await self._embeddings.after(project, space, seq, limit=_READ):
            seq, texts = page[-1].seq, texts + len(page)
            rows = [one for one in page if one.pattern_id in patterns]
            if not rows:
                continue
            means = np.stack([patterns[str(one.pattern_id)][1].mean for one in rows])
            there = geometry.placed(means)
            here = geometry.placed(np.stack([one.vector for one in rows]))
            cosines = np.einsum("ij,ij->i", there, here)
            apart = np.round(geometry.distances(cosines), _DECIMALS)
            for one, far in zip(rows, apart, strict=True):
                if far > distance:
                    leaving.append(_Leaving(float(far), str(one.pattern_id), one.text))
        return texts, leaving

    async def _shown(
        self,
        project: str,
        space: str,
        distance: float,
        patterns: int,
        texts: int,
        near: Sequence[tuple[float, str, str]],
        leaving: Sequence[_Leaving],
    ) -> Look:
        nearest = sorted(near)[:_EXAMPLES]
        farthest = sorted(leaving, reverse=True)[:_EXAMPLES]
        ids = {one for _, first, second in nearest for one in (first, second)}
        ids |= {one.pattern_id for one in farthest}
        told = await self._records.described(project, sorted(ids)) if ids else {}
        merges = [
            Pair(
                distance=apart,
                first=first,
                first_text=told[first][0],
                first_occurrences=told[first][1],
                second=second,
                second_text=told[second][0],
                second_occurrences=told[second][1],
            )
            for apart, first, second in nearest
            if first in told and second in told
        ]
        splits = [
            Pair(
                distance=one.distance,
                first=one.pattern_id,
                first_text=told[one.pattern_id][0],
                first_occurrences=told[one.pattern_id][1],
                second_text=one.text,
            )
            for one in farthest
            if one.pattern_id in told
        ]
        return Look(
            space=space,
            distance=distance,
            patterns=patterns,
            texts=texts,
            merging=_absorbed([(first, second) for _, first, second in near]),
            splitting=len({one.pattern_id for one in leaving}),
            leaving=len(leaving),
            merges=merges,
            splits=splits,
        )


def _nearest_pairs(
    patterns: Mapping[str, tuple[str, Centroid]], geometry: Geometry, distance: float
) -> list[tuple[float, str, str]]:
    """Pairs of patterns of one guard within the distance, as far as they are each other's nearest."""
    if not patterns:
        return []
    ids = list(patterns)
    index = Index(geometry.centre.shape[0])
    placed = []
    for at in range(0, len(ids), _READ):
        page = ids[at : at + _READ]
        rows = geometry.placed(np.stack([patterns[one][1].mean for one in page]))
        placed.append(rows)
        for seq, (one, row) in enumerate(zip(page, rows, strict=True), at + 1):
            index.put(seq, one, patterns[one][0], row)
    index.train()  # beyond what is looked through exactly, or a million patterns take hours
    places = np.concatenate(placed)
    pairs: dict[tuple[str, str], float] = {}
    stretch = geometry.stretch
    for at in range(0, len(ids), _SEARCHED):
        page = ids[at : at + _SEARCHED]
        guards = [patterns[one][0] for one in page]
        found = index.search(places[at : at + _SEARCHED], guards, _NEAREST)
        for one, neighbours in zip(page, found, strict=True):
            for neighbour in neighbours:
                apart = min(FARTHEST, neighbour.distance * stretch)
                if neighbour.pattern_id != one and apart <= distance:
                    first, second = sorted((one, neighbour.pattern_id))
                    pairs[first, second] = apart
    return [(apart, first, second) for (first, second), apart in pairs.items()]


def _absorbed(pairs: Sequence[tuple[str, str]]) -> int:
    """How many patterns disappear when these pairs are joined: union and find."""
    root: dict[str, str] = {}

    def find(one: str) -> str:
        while root.get(one, one) != one:
            root[one] = root.get(root[one], root[one])
            one = root[one]
        return one

    absorbed = 0
    for first, second in pairs:
        a, b = find(first), find(second)
        if a != b:
            root[b] = a
            absorbed += 1
    return absorbed
