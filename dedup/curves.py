"""Bloat and coverage over the whole range of distances: what the knob does from end to end."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.comparison import grouping
from dedup.history import History
from dedup.what_if import replay

DISTANCES = tuple(round(0.05 * step, 2) for step in range(1, 25))
"""0.05 to 1.2: below it only typing errors are the same, above it patterns that have nothing in
common are (placed vectors of unrelated texts are 1.0 apart on average)."""
SAMPLE = 1000
"""Texts that the curves are drawn from: 24 replays of so many take a second."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One distance. `bloat`: patterns for each distinct text; `known_share`: Good-Turing."""

    distance: float
    patterns: int
    bloat: float
    known_share: float


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """The curves. `texts` of `of` texts were replayed: fewer than all for a long history.

    The sample is the texts with the lowest fingerprints (hashes, so that it is random and always the
    same). Fewer texts make fewer and smaller patterns, so that of a sample the shape is right, not
    the height.
    """

    points: Sequence[Point]
    texts: int
    of: int


def curves(
    history: History, distances: Sequence[float] = DISTANCES, *, sample: int = SAMPLE
) -> Curves:
    """Replay the history, or a sample of it, at each distance. Ignores what is fixed."""
    chosen = sampled(history, sample)
    points = [_point(chosen, distance) for distance in sorted(distances)]
    return Curves(points=points, texts=len(chosen), of=len(history))


def sampled(history: History, most: int) -> History:
    """At most so many texts of a history, always the same, with nothing fixed."""
    rows = np.arange(len(history))
    if len(history) > most:
        rows = np.sort(np.argsort(np.array(history.fingerprints), kind="stable")[:most])
    chosen = history.only(rows)
    return chosen.free()


def _point(history: History, distance: float) -> Point:
    figures = grouping(replay(history, distance).groups, history.occurrences)
    return Point(
        distance=distance,
        patterns=figures.patterns,
        bloat=figures.bloat,
        known_share=figures.coverage.known_share or 0.0,
    )
