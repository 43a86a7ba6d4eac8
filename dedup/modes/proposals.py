"""Patterns that look like one: of one guard, in one mode, nearer than the dedup distance."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from capture.ids import derive_id
from dedup.modes.graph import Graph

MOST = 200
"""Proposals of a refit: those with the nearest patterns."""
_MOST_PATTERNS = 20  # of one proposal: people have to read it
_CHUNK = 65_536  # pairs whose exact distance is computed at once


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
    rows = np.repeat(np.arange(len(labels)), graph.near.shape[1])
    others = graph.near.ravel()
    fit = (others >= 0) & (graph.distances.ravel() <= distance + 0.05)  # codes are rounded
    rows, others = rows[fit], others[fit]
    fit = (labels[rows] >= 0) & (labels[rows] == labels[others]) & (guards[rows] == guards[others])
    pairs = np.unique(np.sort(np.stack([rows[fit], others[fit]], axis=1), axis=1), axis=0)
    far = _distances(placed, pairs)
    near: dict[int, dict[int, float]] = {}
    for (one, other), found in zip(pairs.tolist(), far.tolist(), strict=True):
        if found <= distance and not refused(one, other):
            near.setdefault(one, {})[other] = near.setdefault(other, {})[one] = found
    taken: set[int] = set()
    groups = []
    for target in sorted(near, key=lambda row: (-int(weights[row]), row)):
        if target in taken:
            continue
        free = sorted((d, row) for row, d in near[target].items() if row not in taken)
        if members := free[: _MOST_PATTERNS - 1]:
            taken.update([target, *(row for _, row in members)])
            groups.append(Proposed([target, *(row for _, row in members)], [d for d, _ in members]))
    return sorted(groups, key=lambda group: (group.distances[0], group.rows[0]))[:MOST]


def proposal_id(project: str, pattern_ids: Sequence[str]) -> str:
    """The same patterns are the same proposal."""
    return derive_id("proposal", project, *sorted(pattern_ids))[:12]


def _distances(placed: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    found = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _CHUNK):
        one, other = pairs[start : start + _CHUNK].T
        found[start : start + _CHUNK] = 1.0 - np.einsum("ij,ij->i", placed[one], placed[other])
    return np.maximum(found, 0.0)
