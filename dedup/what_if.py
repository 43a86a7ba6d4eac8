"""What if the distance had been another: the stored history, decided again by the rules of `assign`.

Texts of one guard are decided in blocks. One product of matrices gives the similarity of a block to
every pattern there is when the block begins; as texts of the block join or begin patterns, the
similarity of that pattern is computed anew for the texts that are left. So every text meets every
centroid exactly as it was when the text came, and nothing is approximated.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.by_hand import FREE, Camp
from dedup.geometry import FARTHEST, Geometry
from dedup.history import History

_BLOCK = 128
"""Texts a block: at 64 the product is a third slower, at 256 the columns cost more than it saves
(measured at 5 to 20 thousand patterns by `benchmarks/what_if.py`)."""
_FIRST_ROWS = 256
_ROUNDING = 2e-6  # what float32 adds to the six decimals that `assign` compares
_DECIMALS = 6  # as `assign` has it
_NOWHERE = -3.0  # a cosine that nothing has
_VANISHED = 1e-6  # as `Geometry.placed` has it


class Replayed(msgspec.Struct, frozen=True):
    """The pattern of every text, named by its first text.

    groups: (n,) int64, the row of the first text of the pattern.
    distances: (n,) float32, to the pattern's centroid when the text joined; 0 for the first.
    """

    groups: np.ndarray
    distances: np.ndarray


def replay(history: History, distance: float) -> Replayed:
    """Decide the whole history again at this distance, as `Geometry.distances` has it.

    Same geometry, guards and centroids as the decisions had; texts that are `fixed` stay where they
    are and count towards their centroids. What people put together by hand stays together, whatever
    the distance, and what they set apart stays apart; see `dedup.by_hand`.
    """
    run = Replay(history)
    run.to(len(history), distance)
    return run.result()


class Replay:
    """A replay that goes on where it stopped, so that the distance may change on the way."""

    def __init__(self, history: History) -> None:
        """At the beginning of the history."""
        self._history = history
        self._at = 0
        self._groups = np.full(len(history), -1, dtype=np.int64)
        self._distances = np.zeros(len(history), dtype=np.float32)
        self._by_guard: dict[str, _Patterns] = {}

    @property
    def groups(self) -> np.ndarray:
        """Groups so far, (n,) int64, as `Replayed` has them; -1 for texts to come."""
        return self._groups

    def to(self, stop: int, distance: float) -> None:
        """Decide every text before `stop` that is not decided yet."""
        while self._at < stop:
            geometry, until = self._history.geometry_at(self._at)
            until = min(until, stop)
            rows: defaultdict[str, list[int]] = defaultdict(list)
            for row in range(self._at, until):
                rows[self._history.guards[row]].append(row)
            for guard, of_guard in rows.items():
                if guard not in self._by_guard:
                    self._by_guard[guard] = _Patterns(self._history.vectors.shape[1])
                self._decide(self._by_guard[guard], of_guard, geometry, distance)
            self._at = until

    def result(self) -> Replayed:
        """What was decided."""
        return Replayed(self._groups, self._distances)

    def _decide(
        self, patterns: "_Patterns", rows: Sequence[int], geometry: Geometry, distance: float
    ) -> None:
        fixed = self._history.fixed
        leading = next((at for at, row in enumerate(rows) if not fixed[row]), len(rows))
        self._keep_fixed(patterns, rows[:leading])
        patterns.see_from(geometry)
        for start in range(leading, len(rows), _BLOCK):
            self._decide_block(patterns, rows[start : start + _BLOCK], geometry, distance)

    def _keep_fixed(self, patterns: "_Patterns", rows: Sequence[int]) -> None:
        """Put texts into their patterns without looking at distances."""
        for row in rows:
            column = patterns.column_of(int(self._history.patterns[row]))
            vector = self._history.vectors[row]
            if column is None:
                column = patterns.begin(row, int(self._history.patterns[row]), vector, vector)
            else:
                patterns.totals[column] += vector
                patterns.counts[column] += 1
            patterns.hold(column, *self._said(row))
            self._groups[row] = patterns.firsts[column]

    def _said(self, row: int) -> tuple[int, Camp]:
        """The number of the texts that this one is together with, or -1, and its camp."""
        said = self._history.by_hand
        if said is None:
            return -1, FREE
        return int(said.together[row]), said.sides[said.camps[row]]

    def _decide_block(
        self, patterns: "_Patterns", rows: Sequence[int], geometry: Geometry, distance: float
    ) -> None:
        history = self._history
        raw = history.vectors[rows]
        placed = geometry.placed(raw)
        known = len(patterns.firsts)
        similar = np.empty((len(rows), known + len(rows)), dtype=np.float32)
        np.matmul(placed, patterns.placed[:known].T, out=similar[:, :known])
        moved: list[int] = []  # columns that this block has changed, in which `similar` is not so
        place_of: dict[int, int] = {}
        places = np.empty_like(placed)
        for at, row in enumerate(rows):
            code = int(history.patterns[row])
            if moved:
                # not BLAS: waking its threads for so little costs more than the product
                similar[at, moved] = np.einsum("ij,j->i", places[: len(moved)], placed[at])
            together, camp = self._said(row)
            held = patterns.holding(together)
            if history.fixed[row]:
                column, apart = patterns.column_of(code), 0.0
            elif held is not None:
                column, apart = held, 0.0
            else:
                column, apart = patterns.nearest_of(similar[at], placed[at], distance, camp)
                if column is not None and not geometry.reaches(raw[at], patterns.totals[column]):
                    column = None
            if column is None:
                column = patterns.begin(row, code, raw[at], placed[at])
            else:
                patterns.join(column, raw[at], geometry)
                self._distances[row] = apart
            patterns.hold(column, together, camp)
            self._groups[row] = patterns.firsts[column]
            if column not in place_of:
                place_of[column] = len(moved)
                moved.append(column)
            places[place_of[column]] = patterns.placed[column]


class _Patterns:
    """The patterns of one guard: growing matrices, a row for each."""

    def __init__(self, dimension: int) -> None:
        self.firsts: list[int] = []
        self.stretch = 1.0
        self.totals = np.empty((_FIRST_ROWS, dimension), dtype=np.float32)
        self.placed = np.empty((_FIRST_ROWS, dimension), dtype=np.float32)
        self.counts = np.empty(_FIRST_ROWS, dtype=np.int64)
        self._columns: dict[int, int] = {}
        self._holding: dict[int, int] = {}  # by the number of texts that are together
        self._camps: dict[int, int] = {}  # by column: the sides of rules that it is on

    def column_of(self, code: int) -> int | None:
        """Where the pattern is that has this code today."""
        return self._columns.get(code)

    def holding(self, together: int) -> int | None:
        """Where the texts are that are together under this number."""
        return self._holding.get(together)

    def hold(self, column: int, together: int, camp: Camp) -> None:
        """Note what was said of a text that has come to a pattern."""
        if together >= 0:
            self._holding.setdefault(together, column)
        if camp.of:
            self._camps[column] = self._camps.get(column, 0) | camp.of

    def nearest_of(
        self, similar: np.ndarray, placed: np.ndarray, distance: float, camp: Camp
    ) -> tuple[int | None, float]:
        """The same as `nearest`, of the patterns that the text may be with. Writes into `similar`."""
        while True:
            column, apart = self.nearest(similar, placed, distance)
            if column is None or not self._camps.get(column, 0) & camp.against:
                return column, apart
            similar[column] = _NOWHERE

    def nearest(
        self, similar: np.ndarray, placed: np.ndarray, distance: float
    ) -> tuple[int | None, float]:
        """The pattern that `assign` would join, and how far it is; None when that is too far.

        similar: (>= number of patterns,) float32, the cosine to each; placed: (d,) float32.
        """
        if not self.firsts:
            return None, 0.0
        similar = similar[: len(self.firsts)]
        best = int(similar.argmax())
        if similar[best] == _NOWHERE:
            return None, 0.0
        apart = min(FARTHEST, (1.0 - float(similar[best])) * self.stretch)
        rounding = _ROUNDING * self.stretch
        if apart > distance + rounding:
            return None, 0.0
        equal = (similar >= similar[best] - _ROUNDING).nonzero()[0]
        if len(equal) == 1 and apart < distance - rounding:
            return best, max(0.0, apart)
        apart, _, best = min(
            (self._apart(placed, int(at)), -int(self.counts[at]), int(at)) for at in equal
        )
        apart = min(FARTHEST, apart)
        return (best, apart) if apart <= distance else (None, 0.0)

    def _apart(self, placed: np.ndarray, column: int) -> float:
        cosine = np.dot(placed.astype(np.float64), self.placed[column].astype(np.float64))
        return max(0.0, round((1.0 - float(cosine)) * self.stretch, _DECIMALS))

    def begin(self, row: int, code: int, raw: np.ndarray, placed: np.ndarray) -> int:
        """A new pattern; the number of its column."""
        column = len(self.firsts)
        if column == len(self.totals):
            self.totals = np.concatenate([self.totals, np.empty_like(self.totals)])
            self.placed = np.concatenate([self.placed, np.empty_like(self.placed)])
            self.counts = np.concatenate([self.counts, np.empty_like(self.counts)])
        self.firsts.append(row)
        self.totals[column], self.placed[column], self.counts[column] = raw, placed, 1
        self._columns.setdefault(code, column)
        return column

    def join(self, column: int, raw: np.ndarray, geometry: Geometry) -> None:
        """One more text in a pattern: its centroid moves."""
        total = self.totals[column]
        total += raw
        self.counts[column] += 1
        # what `Geometry.placed` does, for one row: a third of its time, a hundred thousand times
        moved = total / np.float32(self.counts[column])
        mean = moved
        moved = moved - geometry.centre
        if geometry.metric is not None:
            moved = moved @ geometry.metric
        norm = math.sqrt(float(moved.dot(moved)))
        self.placed[column] = moved / norm if norm >= _VANISHED else mean

    def see_from(self, geometry: Geometry) -> None:
        """Place every centroid."""
        self.stretch = geometry.stretch
        count = len(self.firsts)
        means = self.totals[:count] / self.counts[:count, None].astype(np.float32)
        self.placed[:count] = geometry.placed(means)
