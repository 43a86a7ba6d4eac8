"""The adaptive distance on a project's own history, before it is switched on."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.coverage import Coverage, adaptive_distance, coverage, frequencies
from dedup.history import History
from dedup.policy import DedupPolicy
from dedup.what_if import Replay, Replayed

_STEPS = 40


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """After so many failures: the distance from here on, the patterns, and the share known."""

    failures: int
    distance: float
    patterns: int
    known_share: float


class Simulated(msgspec.Struct, frozen=True):
    """The history decided with the distance following coverage, and how it followed."""

    steps: Sequence[Step]
    replayed: Replayed


def simulate(history: History, policy: DedupPolicy, arrivals: np.ndarray) -> Simulated:
    """Replay the whole history with the adaptive distance, looked at anew at 40 moments.

    Args:
        history: with nothing fixed, or what is fixed stays.
        policy: its `adaptive` is what is tried; with None the distance stays.
        arrivals: (failures,) int64, the row of the text of each failure in order of decision.
    """
    run = Replay(history)
    steps: list[Step] = []
    known = coverage({})
    first_of = _first_arrivals(arrivals, len(history))
    for end in _ends(len(arrivals)):
        distance = adaptive_distance(policy, known)
        run.to(int(np.searchsorted(first_of, end)), distance)
        known = _known(run.groups, arrivals[:end])
        steps.append(
            Step(
                failures=int(end),
                distance=distance,
                patterns=known.patterns,
                known_share=known.known_share or 0.0,
            )
        )
    return Simulated(steps, run.result())


def _ends(failures: int) -> np.ndarray:
    """Where to look again: geometric, for coverage moves fast at the beginning."""
    if not failures:
        return np.zeros(0, dtype=np.int64)
    return np.unique(np.geomspace(1, failures, _STEPS).round().astype(np.int64))


def _first_arrivals(arrivals: np.ndarray, texts: int) -> np.ndarray:
    """For each text the place of its first failure, rising."""
    first = np.full(texts, len(arrivals), dtype=np.int64)
    rows, places = np.unique(arrivals, return_index=True)
    first[rows] = places
    return np.maximum.accumulate(first) if texts else first


def _known(groups: np.ndarray, arrivals: np.ndarray) -> Coverage:
    _, counts = np.unique(groups[arrivals], return_counts=True)
    return coverage(frequencies(counts))
