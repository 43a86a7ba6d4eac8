"""What dedup asks the store: patterns, where they lie, and how vectors are compared. The port.

Everything is of one project. Vectors are raw, as the encoder gave them: unit length, float32,
little-endian in bytes; `dedup.geometry` places them.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec
import numpy as np

from capture.events import Fault
from dedup.assign import Decided, KnownFingerprint
from dedup.centroid import Centroid
from dedup.events import Assignment
from dedup.geometry import Geometry
from dedup.policy import TextPolicy
from services.pattern_changes import ChangeKind, NotPossible, PatternChange, PatternChanges

__all__ = [
    "ChangeKind",
    "Embedded",
    "Embeddings",
    "GeometryMove",
    "Kept",
    "NotPossible",
    "PatternChange",
    "PatternChanges",
    "PatternReader",
    "PatternStore",
    "PatternWriter",
    "Rewritten",
    "Serving",
    "StoredCentroid",
    "StoredEmbedding",
    "Sum",
]


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """The embedding space that serves a project, since when and why. `ordinal` rises from 1."""

    ordinal: int
    space: str
    encoder: str
    text: TextPolicy
    by: str
    reason: str
    at: datetime


class StoredCentroid(msgspec.Struct, frozen=True):
    """A pattern as the index needs it. `count` 0: it is gone. `seq` rises with every change."""

    seq: int
    pattern_id: str
    guard: str
    total: bytes
    count: int


class Embedded(msgspec.Struct, frozen=True):
    """A text that was embedded, with its raw vector (d,), float32, kept as float16.

    `guard`: its failures'. Empty: that of the decision with this fingerprint in the same step.
    """

    fingerprint: str
    text: str
    vector: np.ndarray
    guard: str = ""


class StoredEmbedding(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a space. `pattern_id`: the pattern its failures count to now; None: to none yet."""

    seq: int
    fingerprint: str
    text: str
    guard: str
    vector: np.ndarray
    pattern_id: str | None


class Rewritten(msgspec.Struct, frozen=True, kw_only=True):
    """Fingerprints of failures whose text is written in another way.

    `before` and `text`: the ways, as names of spaces end. `now`: by fingerprint the one it has then;
    `first`: by that one the earliest it was before, whose pattern it belongs to. `guards`: by that one
    its guard, where its pattern takes it over: it is from before guards named tools.
    """

    before: str
    text: str
    now: Mapping[str, str]
    first: Mapping[str, str]
    guards: Mapping[str, str] = {}


class Sum(msgspec.Struct, frozen=True):
    """How many distinct texts a space has seen, and the sum (d,) float64 of their raw vectors."""

    texts: int
    total: np.ndarray


class GeometryMove(msgspec.Struct, frozen=True, kw_only=True):
    """A geometry of a space: what made it, from how many texts, who decided so, when and why."""

    space: str
    geometry: Geometry
    kind: Literal["centre", "metric"]
    texts: int
    by: str
    reason: str
    at: datetime
    detail: dict[str, Any] | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """All that one locked step has decided; kept whole or not at all."""

    space: str
    decided: Sequence[Decided]
    centroids: Mapping[str, tuple[str, Centroid]] = {}
    """Changed or new, by pattern id: guard and centroid."""
    embedded: Sequence[Embedded] = ()
    """Texts that were not in the space before."""
    sum: Sum | None = None
    """The space's new sum, where texts were added."""
    geometry: Geometry | None = None
    """The next geometry, where the centre moves with this step. Its row says that dedup moved it."""
    represent: Mapping[str, int] = {}
    """Patterns whose medoid is to be chosen anew, and of how many of their first texts."""


class PatternReader(Protocol):
    """What was decided before. Everything raises `Unavailable`."""

    async def decisions(self, event_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """The decisions on these events, where there are any; patterns as they are called now."""

    async def fingerprints(self, fingerprints: Sequence[str]) -> Mapping[str, KnownFingerprint]:
        """The patterns of these fingerprints, where they are known, as they are called now."""

    async def embedded(self, space: str, fingerprints: Sequence[str]) -> Mapping[str, np.ndarray]:
        """The raw vectors of these fingerprints, where the space has them."""

    async def serving(self) -> Serving | None:
        """The space that serves the project; None before its first failure."""

    async def served(self) -> Sequence[Serving]:
        """Every space that served the project, the latest first."""

    async def geometry(self, space: str) -> Geometry | None:
        """The space's geometry in force; None while it has none."""

    async def moves(self, space: str) -> Sequence[GeometryMove]:
        """Every geometry the space had, the first one first."""

    async def sum(self, space: str) -> Sum | None:
        """What the centre is computed from; None while the space is empty."""

    async def centroids(
        self, space: str, pattern_ids: Sequence[str]
    ) -> Mapping[str, tuple[str, Centroid]]:
        """Guards and exact centroids of these patterns, as far as they are there and not gone."""

    async def centroids_after(
        self, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredCentroid]:
        """Centroids that changed after `seq`, the earliest first, at most `limit`."""


class PatternWriter(PatternReader, Protocol):
    """The same, inside the project's lock, and the means to decide."""

    async def serve(self, serving: Serving) -> None:
        """Have a space serve the project from now on. Its ordinal must be the next one (`ValueError`)."""

    async def move(self, move: GeometryMove) -> None:
        """Put a geometry in force outside a decision, such as a metric that was fitted."""

    async def keep(self, kept: Kept) -> None:
        """Keep decisions: occurrences, fingerprints, new patterns, centroids, embeddings, geometry.

        Of an event that is decided already, the first decision stays. A pattern's count rises by one
        for each decision. Changed centroids get the next `seq` of their space, in the given order.
        All is kept when the lock is left without an error, nothing otherwise.
        """


class Embeddings(Protocol):
    """Every text that was embedded, for what looks at the whole history."""

    async def after(
        self, project: str, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredEmbedding]:
        """A space's texts with a higher `seq`, in order, at most `limit`. Raises `Unavailable`."""


class PatternStore(Protocol):
    """Patterns and occurrences, by project. Everything raises `Unavailable`."""

    def reading(self, project: str) -> AbstractAsyncContextManager[PatternReader]:
        """A look without a lock."""

    def locked(self, project: str) -> AbstractAsyncContextManager[PatternWriter]:
        """The project's dedup lock: one holder at a time over all processes; commits on leaving."""

    async def change_faults(self, project: str, faults: Mapping[str, Fault]) -> None:
        """Note whose failures these are, by event id, where that has changed."""
