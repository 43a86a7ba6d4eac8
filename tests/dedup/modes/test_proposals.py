from collections.abc import Callable

import numpy as np
import pytest

import dedup.modes.proposals
from dedup.modes.graph import neighbour_graph
from dedup.modes.proposals import Proposed, proposal_id, proposals

ANGLES = np.array([0.0, 0.2, 0.35, 2.0, 2.1, 4.0])


def _found(
    distance: float,
    *,
    labels: list[int] | None = None,
    guards: list[int] | None = None,
    refused: Callable[[int, int], bool] | None = None,
) -> list[Proposed]:
    placed = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
    return proposals(
        placed,
        neighbour_graph(lambda start, stop: placed[start:stop], len(placed), 5),
        np.array(labels or [0, 0, 0, 1, 1, -1]),
        np.array(guards or [0] * 6),
        np.array([1, 9, 2, 3, 3, 1]),
        distance,
        refused or (lambda _one, _other: False),
    )


def test_patterns_nearer_than_the_distance_are_proposed_into_the_most_frequent() -> None:
    found = _found(0.05)
    assert [group.rows for group in found] == [[3, 4], [1, 2, 0]]
    assert np.allclose(found[1].distances, 1 - np.cos([0.15, 0.2]), atol=1e-6)


def test_patterns_that_are_not_near_the_target_are_left_out() -> None:
    assert [group.rows for group in _found(1 - np.cos(0.18))] == [[3, 4], [1, 2]]
    assert _found(0.001) == []


def test_nothing_is_proposed_across_modes_or_guards_or_outside_of_modes() -> None:
    assert [group.rows for group in _found(0.05, labels=[0, 0, 2, 1, -1, -1])] == [[1, 0]]
    assert [group.rows for group in _found(0.05, guards=[0, 1, 0, 2, 3, 0])] == []


def test_what_was_refused_is_not_proposed_again() -> None:
    found = _found(0.05, refused=lambda one, other: {one, other} == {1, 2})
    assert [group.rows for group in found] == [[3, 4], [1, 0]]


def test_groups_are_those_of_looking_at_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup.modes.proposals, "_CHUNK", 100)
    rng = np.random.default_rng(1)
    placed = np.repeat(rng.standard_normal((40, 16)), 6, axis=0) + rng.normal(0, 0.2, (240, 16))
    placed = (placed / np.linalg.norm(placed, axis=1, keepdims=True)).astype(np.float32)
    labels, guards = rng.integers(-1, 2, 240), rng.integers(0, 2, 240)
    weights = rng.integers(1, 5, 240)
    graph = neighbour_graph(lambda start, stop: placed[start:stop], 240, 16)
    distances = 1 - placed.astype(np.float64) @ placed.T
    free, expected = set(range(240)), []
    for target in sorted(range(240), key=lambda row: (-weights[row], row)):
        others = [
            row
            for row in np.argsort(distances[target]).tolist()
            if row in free - {target}
            and distances[target, row] <= 0.1
            and labels[row] == labels[target] >= 0
            and guards[row] == guards[target]
            and (row + target) % 7
        ]
        if target in free and others:
            expected.append([target, *others])
            free -= {target, *others}
    found = proposals(
        placed, graph, labels, guards, weights, 0.1, lambda one, other: not (one + other) % 7
    )
    assert len(expected) > 20
    assert sorted(list(group.rows) for group in found) == sorted(expected)
    nearest = [group.distances[0] for group in found]
    assert nearest == sorted(nearest)


def test_the_same_patterns_are_the_same_proposal_in_any_order() -> None:
    assert proposal_id("shop", ["a", "b"]) == proposal_id("shop", ["b", "a"])
    assert proposal_id("shop", ["a", "b"]) != proposal_id("other", ["a", "b"])
