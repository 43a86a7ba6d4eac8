"""A project's distinct failure texts as they were decided, in order: what a replay starts from."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.by_hand import ByHand
from dedup.geometry import Geometry, first_geometry


class Move(msgspec.Struct, frozen=True):
    """A geometry, and how many distinct texts were embedded when it came into force."""

    texts: int
    geometry: Geometry


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Distinct texts of one project in one embedding space, in the order of their first decision.

    All sequences have one entry for each of the n texts:

    fingerprints, guards: as they are stored.
    patterns: the pattern each belongs to today, (n,) int64 codes; `names` has the id of each code.
    decided: the same as it was decided, before anybody merged by hand.
    occurrences: how many failures had this text, (n,) int64.
    asked: how many of these are in the time that was asked for, (n,) int64.
    fixed: first seen before that time, (n,) bool: a replay leaves them in their pattern of today.
    vectors: raw, (n, d) float32.
    moves: geometries by the number of texts at which they came into force, rising.
    by_hand: what people said by merging and splitting; a replay keeps to it.
    """

    fingerprints: Sequence[str]
    guards: Sequence[str]
    patterns: np.ndarray
    decided: np.ndarray
    names: Sequence[str]
    occurrences: np.ndarray
    asked: np.ndarray
    fixed: np.ndarray
    vectors: np.ndarray
    moves: Sequence[Move]
    by_hand: ByHand | None = None

    def __len__(self) -> int:
        """How many texts."""
        return len(self.fingerprints)

    def free(self) -> "History":
        """The same with nothing fixed, whatever anybody said."""
        nothing = np.zeros(len(self), dtype=bool)
        return msgspec.structs.replace(self, fixed=nothing, by_hand=None)

    def only(self, rows: np.ndarray) -> "History":
        """The history of some texts alone. `rows`: (m,) int64, rising."""
        return History(
            fingerprints=[self.fingerprints[row] for row in rows],
            guards=[self.guards[row] for row in rows],
            patterns=self.patterns[rows],
            decided=self.decided[rows],
            names=self.names,
            occurrences=self.occurrences[rows],
            asked=self.asked[rows],
            fixed=self.fixed[rows],
            vectors=self.vectors[rows],
            # a move that came after so many texts comes after those of them that are left
            moves=[Move(int(np.searchsorted(rows, m.texts)), m.geometry) for m in self.moves],
            by_hand=None if self.by_hand is None else self.by_hand.only(rows),
        )

    def geometry_at(self, text: int) -> tuple[Geometry, int]:
        """The geometry that decides about this text, and the first text that it no longer does."""
        geometry = first_geometry(self.vectors.shape[1])
        for move in self.moves:
            if move.texts > text:
                return geometry, min(move.texts, len(self))
            geometry = move.geometry
        return geometry, len(self)
