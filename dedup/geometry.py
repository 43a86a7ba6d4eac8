"""How raw vectors are compared in a project: seen from the centre of all its failures.

Texts of one project have much in common, so much that the same similarity of raw vectors means "the
same failure" in one project and "the same project" in another. What they have in common is their
centre; less the centre, and stretched where little is left, one distance serves
(`docs/decisions/0020-centred-centroids.md`).
"""

import math
from collections.abc import Iterable

import msgspec
import numpy as np

from dedup.centroid import Centroid

# The numbers below were chosen with `benchmarks/grouping.py`; the decision has the figures.
_PRIOR_WEIGHT = 2.5
"""The centre begins as the zero vector, with the weight of so many texts. Without it a project's first
failure would be its centre, and rewordings of it would lie all around it."""
_GROWTH, _LATER_GROWTH, _LATER = 1.25, 2.0, 512
"""The centre moves when there are 1.25 times as many texts as at its last move, from 512 on at twice
as many. The first moves matter most: the raw vectors of one agent's sessions are as near to each
other as rewordings elsewhere."""
_YOUNG = 20
"""Texts up to which a centre tells little of what the project's texts have in common."""
_YOUNG_REACH = 0.30
"""Cosine distance of raw vectors beyond which a young project joins nothing. Without it the first 11
failures of an airline's sessions, of 9 goals, were one pattern; see the decision."""
_USUAL_SPREAD = 0.875
"""Length of what is left of a unit vector, in the mean of squares, where texts have as much in common
as a bank's queries (mean raw cosine 0.23). Where they have more in common, distances are stretched."""
_LEAST_SPREAD = 0.2
"""Keeps distances finite where all texts are nearly the same."""
FARTHEST = 2.0
"""Cosine distance of opposites; no distance is greater, so that a distance of 2 joins everything."""
_LAST_MOVE = 10_000
"""Texts beyond which the centre stays: it hardly moves any more, and every pattern is read for it."""


class Geometry(msgspec.Struct, frozen=True):
    """A centre (d,) float32 and an optional metric (d, d) float32. `number` rises with each change.

    While the centre is `young` a failure must be near its pattern by raw vectors as well.
    """

    number: int
    centre: np.ndarray
    metric: np.ndarray | None = None
    young: bool = False

    def reaches(self, raw: np.ndarray, total: np.ndarray) -> bool:
        """Whether raw vectors allow a text (d,) into the pattern whose vectors have this sum (d,)."""
        if not self.young:
            return True
        one, other = raw.astype(np.float64), total.astype(np.float64)
        length = float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) >= (1.0 - _YOUNG_REACH) * length

    @property
    def stretch(self) -> float:
        """What one minus the cosine of placed vectors is multiplied with, at least 1.

        A unit vector less the centre has the length sqrt(1 - |centre|^2), in the mean of squares over
        the texts that the centre is made of. The shorter that is, the closer together are unrelated
        texts in what is left, next to rewordings.
        """
        centre = self.centre.astype(np.float64)
        spread = math.sqrt(max(_LEAST_SPREAD**2, 1.0 - float(centre @ centre)))
        return max(1.0, _USUAL_SPREAD / spread)

    def distances(self, cosines: np.ndarray) -> np.ndarray:
        """*The distance*, 0 to 2, of placed vectors with these cosines; any shape."""
        far: np.ndarray = np.clip((1.0 - cosines) * self.stretch, 0.0, FARTHEST)
        return far

    def placed(self, raw: np.ndarray) -> np.ndarray:
        """Raw vectors (n, d) as unit rows (n, d), float32: less the centre, through the metric.

        A row that vanishes stays as it was.
        """
        moved = raw - self.centre
        if self.metric is not None:
            moved = moved @ self.metric
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        vanished = norms[:, 0] < 1e-6  # noqa: PLR2004 - float32's rounding
        moved[vanished], norms[vanished] = raw[vanished], 1.0
        unit: np.ndarray = (moved / norms).astype(np.float32)
        return unit


def first_geometry(dimension: int) -> Geometry:
    """How vectors (dimension,) are compared before the centre has moved for the first time."""
    return Geometry(0, np.zeros(dimension, dtype=np.float32), young=True)


def is_young(texts: int) -> bool:
    """Whether a centre of so many distinct texts tells little."""
    return texts < _YOUNG


def next_move(texts: int) -> int | None:
    """The number of distinct texts, above `texts`, at which the centre moves next; None: it stays."""
    count = 1
    while count <= texts:
        growth = _GROWTH if count < _LATER else _LATER_GROWTH
        count = max(count + 1, int(count * growth))
    return count if count <= _LAST_MOVE else None


def moved(current: Geometry, centroids: Iterable[Centroid], texts: int | None = None) -> Geometry:
    """The geometry after `current`, its centre computed anew from all patterns of the project.

    The centre is the sum of all distinct texts over 2.5 plus their number; but the largest pattern
    weighs at most one text more than all others together. Else the centre of a project with one kind
    of failure were in the middle of it, and it would fall apart. Patterns that are gone (of no text)
    count for nothing. The order of the patterns matters only by rounding in float64.

    Args:
        current: the geometry before.
        centroids: of all patterns.
        texts: how many distinct texts the project has, which is stored with the move and says whether
            the new geometry is young; None: as many as the patterns have.
    """
    total, counted = np.zeros(current.centre.shape[0], dtype=np.float64), 0
    largest = Centroid(np.zeros_like(current.centre), 0)
    for one in centroids:
        total += one.total
        counted += one.count
        largest = max(largest, one, key=lambda pattern: pattern.count)
    young = is_young(counted if texts is None else texts)
    surplus = largest.count - (counted - largest.count + 1)
    if surplus > 0:
        total -= largest.total.astype(np.float64) * (surplus / largest.count)
        counted -= surplus
    centre = (total / (counted + _PRIOR_WEIGHT)).astype(np.float32)
    return Geometry(current.number + 1, centre, current.metric, young)
