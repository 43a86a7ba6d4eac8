"""Patterns that look like one: of one guard, in one mode, nearer than the dedup distance."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np

from capture.ids import derive_id
from dedup.modes.graph import Graph

MOST = 200
"""Proposals of a refit: those with the nearest patterns."""
_MOST_PATTERNS = 20  # of one proposal: people have to read it
_CHUNK = 4_096  # pairs whose exact distance is computed at once, 12 MB


class Proposed(msgspec.Struct, frozen=True):
    """Rows that could be one pattern: into the first, which has the most occurrences.

    `distances` are those from the first to each of the others.
    """

    rows: Sequence[int]
    distances: Sequence[float]


def proposals(
    placed: np.ndarray,
    graph: Graph,
    labels: np.ndarray,
    guards: np.ndarray,
    weights: np.ndarray,
    distance: float,
    refused: Callable[[int, int], bool] = lambda _one, _other: False,
) -> list[Proposed]:
    """Groups whose every member is within `distance` of the one with the most occurrences.

    Args:
        placed: (n, d) float32, unit rows.
        graph: their neighbours; distances are computed again, exactly.
        labels: (n,) the modes, -1 for none: nothing is proposed there.
        guards: (n,) numbers, one a guard.
        weights: (n,) occurrences.
        distance: the dedup distance.
        refused: whether two rows were said not to be one.
    """
    pairs = _pairs(graph, labels, guards, distance + 0.05)  # codes are rounded
    near = _Near(len(labels), *_nearer(placed, *pairs, distance))
    order = np.lexsort((np.arange(len(labels)), -weights)).tolist()
    groups = _groups(near, order, refused)
    return heapq.nsmallest(MOST, groups, key=lambda group: (group.distances[0], group.rows[0]))


def proposal_id(project: str, pattern_ids: Sequence[str]) -> str:
    """The same patterns are the same proposal."""
    return derive_id("proposal", project, *sorted(pattern_ids))[:12]


class _Near:
    """Pairs by either of their rows; as dictionaries they took 350 MB more for 200 thousand rows."""

    def __init__(self, rows: int, first: np.ndarray, second: np.ndarray, far: np.ndarray) -> None:
        """Of pairs that are sorted by `first`."""
        self._first, self._second, self._far = first, second, far
        self._by_second = np.argsort(second, kind="stable").astype(np.int32)
        self._starts, self._seconds = (
            np.append(0, np.cumsum(np.bincount(ends, minlength=rows))).tolist()
            for ends in (first, second)
        )

    def of(self, row: int) -> list[tuple[float, int]]:
        """The distances to its others, and these; the nearest first."""
        after = slice(self._starts[row], self._starts[row + 1])
        before = self._by_second[self._seconds[row] : self._seconds[row + 1]]
        others = self._second[after].tolist() + self._first[before].tolist()
        far = self._far[after].tolist() + self._far[before].tolist()
        return sorted(zip(far, others, strict=True))


def _groups(
    near: _Near, order: Sequence[int], refused: Callable[[int, int], bool]
) -> Iterator[Proposed]:
    """Each row in order takes the nearest that are free; a row is in one group at most."""
    taken: set[int] = set()
    for target in order:
        if target in taken:
            continue
        free = (
            one for one in near.of(target) if one[1] not in taken and not refused(target, one[1])
        )
        if members := list(islice(free, _MOST_PATTERNS - 1)):
            rows = [target, *(row for _, row in members)]
            taken.update(rows)
            yield Proposed(rows, [far for far, _ in members])


def _pairs(
    graph: Graph, labels: np.ndarray, guards: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one mode and guard that the graph has no farther apart, each pair once, sorted."""
    count = len(labels)
    fit = (graph.near >= 0) & (graph.distances <= distance) & (labels >= 0)[:, None]
    for told in (labels, guards):
        fit &= told[:, None] == told[graph.near]
    rows, others = np.nonzero(fit)[0], graph.near[fit]
    pairs = np.minimum(rows, others) * count + np.maximum(rows, others)
    pairs.sort()  # numpy's `unique` hashes: seven times as long, and 100 MB more
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]]
    return (pairs // count).astype(np.int32), (pairs % count).astype(np.int32)


def _nearer(
    placed: np.ndarray, first: np.ndarray, second: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs that are within the distance, and their exact distances."""
    far = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _CHUNK):
        here = slice(start, start + _CHUNK)
        far[here] = 1.0 - np.einsum("ij,ij->i", placed[first[here]], placed[second[here]])
    np.maximum(far, 0.0, out=far)
    fit = far <= distance
    return first[fit], second[fit], far[fit]
