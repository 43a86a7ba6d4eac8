"""The joining distance of a pair of texts: from which dedup distance on they are one pattern.

It is found by deciding the history again at a row of distances (`dedup.what_if`). Unlike the distance
between two texts it is on the scale of the knob: patterns are compared by their centroids, and a
pattern may join two texts that are far from each other.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from dedup.geometry import Geometry
from dedup.history import History, Move
from dedup.what_if import replay

SAMPLE = 2000
"""Texts that pairs are made of, two million pairs. Replaying half as many at all distances is 0.7 s of
one processor (`benchmarks/calibrate.py`). A longer history is represented by a random sample of it."""
REACH = 0.3
"""How far beyond the distance in force pairs are looked at. On the sample data, with 0.5 in force, four
of five pairs of the same group are nearer than that, and of the pairs beyond it 1 in 178 is of the
same group: too few to be found by asking, however much they weigh (`benchmarks/calibrate.py`)."""
_STEP = 0.025
_NEAREST = 0.1  # below it only the same words in another order are the same


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs of a sample of a history, and what each of a row of distances makes of them.

    history: n texts, nothing fixed, in one geometry.
    distances: the row, (k,) float64, rising.
    groups: (k, n) int64, the pattern of each text at each distance.
    first, second: rows of the texts of each of m pairs of the same guard, (m,) int32, first < second.
    at: (m,) int8, the place in `distances` of the joining distance of each pair; k for none.
    """

    history: History
    distances: np.ndarray
    groups: np.ndarray
    first: np.ndarray
    second: np.ndarray
    at: np.ndarray

    def together(self, place: int) -> np.ndarray:
        """Which pairs are one pattern at the distance of this place, (m,) bool.

        Not simply those of `at <= place`: a text may leave with growing distance, for a pattern that
        has come nearer.
        """
        groups = self.groups[place]
        same: np.ndarray = groups[self.first] == groups[self.second]
        return same

    def place(self, distance: float) -> int:
        """Where a distance is in the row. Raises `ValueError` when it is not."""
        row: list[float] = self.distances.tolist()
        return row.index(distance)

    def pairs(self, named: Iterable[tuple[str, str]]) -> np.ndarray:
        """Where pairs of fingerprints are, int64; -1 for one whose texts or guards have no pair."""
        rows = {name: row for row, name in enumerate(self.history.fingerprints)}
        wanted = [sorted((rows.get(a, -1), rows.get(b, -1))) for a, b in named]
        keys = np.array([low * len(rows) + high if low >= 0 else -1 for low, high in wanted])
        own = self.first.astype(np.int64) * len(rows) + self.second
        if not len(keys) or not len(own):
            return np.full(len(keys), -1, dtype=np.int64)
        found = np.minimum(np.searchsorted(own, keys), len(own) - 1)
        return np.where(own[found] == keys, found, -1)


def row_of_distances(current: float, *, reach: float = REACH) -> tuple[float, ...]:
    """Distances that are worth a look when `current` is in force; it is one of them."""
    count = int((current + reach - _NEAREST) / _STEP + 1e-9) + 1
    steps = {round(_NEAREST + _STEP * step, 3) for step in range(max(count, 0))}
    return tuple(sorted(steps | {current, round(current + reach, 3)}))


def joining(history: History, distances: Sequence[float], geometry: Geometry) -> Joining:
    """Decide the history at each distance, compared in `geometry` from the first text to the last."""
    free = msgspec.structs.replace(history.free(), moves=[Move(0, geometry)])
    groups = np.stack([replay(free, distance).groups for distance in distances])
    first, second = _pairs(history.guards)
    at = np.full(len(first), len(distances), dtype=np.int8)
    for place in reversed(range(len(distances))):
        at[groups[place][first] == groups[place][second]] = place
    return Joining(
        history=free,
        distances=np.array(distances),
        groups=groups,
        first=first,
        second=second,
        at=at,
    )


def sampled(history: History, named: Iterable[str], *, most: int = SAMPLE) -> History:
    """At most so many texts: those named first, then those with the lowest fingerprints.

    Fingerprints are hashes, so that the sample is random, and hardly moves while a history grows.
    """
    if len(history) <= most:
        return history
    wanted = set(named)
    order = sorted(
        range(len(history)),
        key=lambda row: (history.fingerprints[row] not in wanted, history.fingerprints[row]),
    )
    return history.only(np.array(sorted(order[:most])))


def geometry_in_force(history: History) -> Geometry:
    """How the history's next text would be compared."""
    return history.geometry_at(len(history))[0]


def _pairs(guards: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of every pair of the same guard, ordered by the first, then by the second row."""
    _, codes = np.unique(np.array(guards, dtype=object), return_inverse=True)
    first, second = np.triu_indices(len(codes), 1)
    same = codes[first] == codes[second]
    return first[same].astype(np.int32), second[same].astype(np.int32)
