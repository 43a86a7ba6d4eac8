"""The dedup stage as it runs, for benchmarks: the real deduper on a store in a temporary folder."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from capture.events import Failure
from dedup.assign import Candidate, assign
from dedup.centroid import Centroid
from dedup.events import Assigned
from dedup.geometry import first_geometry, moved, next_move
from dedup.index import Index, Row
from dedup.policy import DEFAULT_BAND
from services.deduper import Deduper
from services.encoders import Encoders
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.policy import Policies
from services.store.open import Store
from services.stream.outcome import Emit

BATCH = 64
_NEAREST = 8


class KnownVectors:
    """An embedder whose texts were embedded before, so that five orders cost one embedding."""

    def __init__(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        """`vectors` by text, raw, (d,), float32."""
        self.encoder = encoder
        self._vectors = vectors

    def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        """The vectors of texts; each must be known."""
        return [self._vectors[text] for text in texts]

    async def close(self) -> None:
        """Nothing to stop."""


async def staged(embedder: KnownVectors, failures: Sequence[Failure]) -> list[str]:
    """The pattern of each failure, end to end through the stage with default settings."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        await store.upgrade()
        try:
            deduper = Deduper(
                store.patterns,
                Encoders(embedder, _no_other),
                Indexes(IndexFiles(Path(folder) / "indexes")),
                Policies(store.policies),
                clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            )
            found: dict[str, str] = {}
            for start in range(0, len(failures), BATCH):
                for outcome in await deduper.handle(failures[start : start + BATCH]):
                    if not isinstance(outcome, Emit):
                        raise SystemExit(repr(outcome))
                    assigned = cast("Assigned", outcome.event)
                    found[assigned.event_id] = assigned.assignment.pattern_id
        finally:
            await store.close()
    return [found[failure.event_id] for failure in failures]


def _no_other(encoder: str) -> KnownVectors:
    raise ValueError(encoder)


class Decision(msgspec.Struct, frozen=True):
    """Where a failure went, and whether it was doubtful."""

    pattern_id: str
    grey: bool


def decided(
    candidates: Sequence[Candidate],
    vectors: Mapping[str, np.ndarray],
    distance: float,
    *,
    band: float = DEFAULT_BAND,
) -> list[Decision]:
    """The same by the stage's pure functions, for many distances: no store, one failure at a time."""
    dimension = len(next(iter(vectors.values())))
    geometry, index = first_geometry(dimension), Index(dimension)
    centroids: dict[str, tuple[str, Centroid]] = {}
    seen: dict[str, Decision] = {}
    made: list[Decision] = []
    move, seq = next_move(0), 0
    for one in candidates:
        if one.fingerprint in seen:
            made.append(Decision(seen[one.fingerprint].pattern_id, grey=False))
            continue
        place = geometry.placed(vectors[one.fingerprint][np.newaxis])
        found = index.search(place, [one.guard], _NEAREST)[0] if len(index) else []
        batch = assign(
            [one],
            known={},
            vectors=vectors,
            near={one.fingerprint: [neighbour.pattern_id for neighbour in found]},
            centroids=centroids,
            geometry=geometry,
            distance=distance,
            band=band,
            space="benchmark",
        )
        centroids |= batch.centroids
        changed: Mapping[str, tuple[str, Centroid]] = batch.centroids
        assignment = batch.decided[0].assignment
        seen[one.fingerprint] = Decision(assignment.pattern_id, assignment.grey)
        made.append(seen[one.fingerprint])
        if move is not None and len(seen) >= move:
            geometry = moved(geometry, [centroid for _, centroid in centroids.values()], len(seen))
            move, changed = next_move(len(seen)), centroids
        rows: list[Row] = []
        means = np.stack([centroid.mean for _, centroid in changed.values()])
        for (key, (guard, _)), row in zip(changed.items(), geometry.placed(means), strict=True):
            seq += 1
            rows.append(Row(seq, key, guard, row))
        index.put_many(rows)
    return made
