"""A replay decides what `assign` decided, and says what another distance changes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from dedup.adaptive import simulate
from dedup.assign import Candidate, assign
from dedup.centroid import Centroid
from dedup.comparison import compared
from dedup.curves import curves, sampled
from dedup.geometry import Geometry, first_geometry, moved, next_move
from dedup.history import History, Move
from dedup.policy import AdaptivePolicy, DedupPolicy
from dedup.what_if import Replay, replay

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DISTANCES = (0.0, 0.2, 0.45, 0.7, 1.1, 2.0)


def texts(count: int, *, groups: int, seed: int = 1, dimension: int = 24) -> np.ndarray:
    """Raw unit vectors (count, dimension) as the store gives them back, around so many middles."""
    rng = np.random.default_rng(seed)
    middles = (
        rng.normal(size=(groups, dimension)) + 1.5
    )  # raw vectors lie to one side of the origin
    vectors = middles[rng.integers(groups, size=count)] + rng.normal(size=(count, dimension)) * 0.6
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kept: np.ndarray = unit.astype(np.float16).astype(np.float32)
    return kept


def guards_of(count: int) -> list[str]:
    return [("model|", "model|refund", "input|")[n % 7 % 3] for n in range(count)]


def decided(
    vectors: np.ndarray,
    guards: Sequence[str],
    distance: float,
    batch: int,
    recorded: Sequence[Move] | None = None,
) -> tuple[list[str], list[Move]]:
    """The pattern of each text as `assign` decides in batches, and the moves of the centre.

    `recorded`: the moves there were, where they are not to be made anew.
    """
    centroids: dict[str, tuple[str, Centroid]] = {}
    geometry, moves = first_geometry(vectors.shape[1]), list(recorded or ())
    patterns: list[str] = []
    for start in range(0, len(vectors), batch):
        rows = range(start, min(start + batch, len(vectors)))
        made = assign(
            [Candidate("p", f"e{n}", f"t{n}", NOW, "", f"f{n:05d}", guard=guards[n]) for n in rows],
            known={},
            vectors={f"f{n:05d}": vectors[n] for n in rows},
            near={f"f{n:05d}": list(centroids) for n in rows},
            centroids=centroids,
            geometry=geometry,
            distance=distance,
            band=0.0,
            space="s",
        )
        centroids |= made.centroids
        patterns += [one.assignment.pattern_id for one in made.decided]
        due = next_move(start)
        if recorded is None and due is not None and due <= rows.stop:
            moves.append(Move(rows.stop, moved(geometry, [one for _, one in centroids.values()])))
        geometry = next((m.geometry for m in reversed(moves) if m.texts <= rows.stop), geometry)
    return patterns, moves


def history(
    vectors: np.ndarray,
    guards: Sequence[str],
    patterns: Sequence[str],
    moves: Sequence[Move] = (),
    occurrences: Sequence[int] | None = None,
) -> History:
    names = list(dict.fromkeys(patterns))
    codes = np.array([names.index(one) for one in patterns], dtype=np.int64)
    counts = np.array(occurrences or [1] * len(patterns), dtype=np.int64)
    return History(
        fingerprints=[f"f{n:05d}" for n in range(len(patterns))],
        guards=list(guards),
        patterns=codes,
        decided=codes,
        names=names,
        occurrences=counts,
        asked=counts,
        fixed=np.zeros(len(patterns), dtype=bool),
        vectors=vectors,
        moves=list(moves),
    )


def firsts(patterns: Sequence[str]) -> list[int]:
    """Each text's pattern, named by the pattern's first text."""
    first: dict[str, int] = {}
    return [first.setdefault(name, row) for row, name in enumerate(patterns)]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("batch", [1, 64, 300])
def test_a_replay_at_the_same_distance_is_what_was_decided(distance: float, batch: int) -> None:
    """Over moves of the centre, several guards, and batches that are no multiple of a block."""
    vectors, guards = texts(400, groups=40), guards_of(400)
    patterns, moves = decided(vectors, guards, distance, batch)
    assert len(moves) > 1
    assert replay(history(vectors, guards, patterns, moves), distance).groups.tolist() == firsts(
        patterns
    )


def test_a_replay_at_another_distance_is_what_would_have_been_decided() -> None:
    """With the centre moving as it did."""
    vectors, guards = texts(300, groups=30), guards_of(300)
    today, moves = decided(vectors, guards, 0.3, 64)
    for distance in DISTANCES:
        then, _ = decided(vectors, guards, distance, 64, moves)
        found = replay(history(vectors, guards, today, moves), distance)
        assert found.groups.tolist() == firsts(then)


@pytest.mark.parametrize("distance", [0.3, 0.8, 2.0])
def test_a_replay_is_what_was_decided_where_texts_have_much_in_common(distance: float) -> None:
    """Distances are stretched there, more with each move of the centre."""
    vectors, guards = texts(400, groups=40), guards_of(400)
    vectors = vectors + 2 * vectors[0]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    patterns, moves = decided(vectors, guards, distance, 64)
    assert moves[-1].geometry.stretch > 1.5
    assert replay(history(vectors, guards, patterns, moves), distance).groups.tolist() == firsts(
        patterns
    )


def test_a_metric_counts_like_the_centre() -> None:
    vectors, guards = texts(200, groups=8), ["model|"] * 200
    metric = np.diag(np.linspace(0.1, 2, vectors.shape[1])).astype(np.float32)
    bent = Geometry(1, vectors.mean(axis=0), metric)
    plain = Geometry(1, vectors.mean(axis=0))
    found = [
        replay(history(vectors, guards, ["a"] * 200, [Move(0, one)]), 0.6).groups.tolist()
        for one in (bent, plain)
    ]
    assert found[0] != found[1]
    stretched = Geometry(1, plain.centre @ metric)
    by_hand = history(vectors @ metric, guards, ["a"] * 200, [Move(0, stretched)])
    distance = 0.6 * stretched.stretch / bent.stretch
    assert found[0] == replay(by_hand, distance).groups.tolist()


def test_guards_are_never_in_one_pattern_even_at_the_largest_distance() -> None:
    vectors, guards = texts(100, groups=1), guards_of(100)
    groups = replay(history(vectors, guards, ["a"] * 100), 2.0).groups
    assert len(set(groups.tolist())) == len(set(guards))


def test_what_is_fixed_stays_and_attracts() -> None:
    """Forwards only: what was decided before stays, and newer texts may join it."""
    vectors, guards = texts(300, groups=10), ["model|"] * 300
    today, moves = decided(vectors, guards, 0.5, 50)
    stored = history(vectors, guards, today, moves)
    fixed = np.arange(300) < 200
    found = replay(msgspec.structs.replace(stored, fixed=fixed), 0.0).groups
    assert found[:200].tolist() == firsts(today)[:200]
    assert len(set(found[200:].tolist())) == 100
    joined = replay(msgspec.structs.replace(stored, fixed=fixed), 0.5).groups
    assert set(joined[200:].tolist()) & set(joined[:200].tolist())


def test_a_text_that_is_fixed_late_goes_to_its_pattern_wherever_it_lies() -> None:
    vectors, guards = texts(150, groups=10), ["model|"] * 150
    patterns = [f"p{n % 5}" for n in range(150)]
    every_third = np.arange(150) % 3 == 0
    stored = msgspec.structs.replace(history(vectors, guards, patterns), fixed=every_third)
    found = replay(stored, 0.4).groups
    by_pattern: dict[str, set[int]] = {}
    for row in np.flatnonzero(every_third):
        by_pattern.setdefault(patterns[row], set()).add(int(found[row]))
    assert [len(groups) for groups in by_pattern.values()] == [1] * 5


def test_a_replay_in_steps_is_the_same_replay() -> None:
    vectors, guards = texts(400, groups=20), guards_of(400)
    patterns, moves = decided(vectors, guards, 0.4, 64)
    stored = history(vectors, guards, patterns, moves)
    stepped = Replay(stored)
    for start, stop in pairwise((0, 1, 17, 230, 400)):
        stepped.to(stop, 0.4)
        assert (stepped.groups[:stop] >= 0).all()
        assert (stepped.groups[max(stop, start) :] == -1).all()
    assert stepped.groups.tolist() == firsts(patterns)


@pytest.mark.parametrize("count", [0, 1])
def test_a_history_of_next_to_nothing_is_replayed(count: int) -> None:
    stored = history(texts(count, groups=1), ["model|"] * count, ["a"] * count)
    assert replay(stored, 0.4).groups.tolist() == [0] * count
    assert len(curves(stored).points) > 10


def test_a_merge_and_a_split_are_told_apart_and_their_failures_counted() -> None:
    before = np.array([0, 0, 1, 1, 2, 3])
    after = np.array([0, 0, 0, 3, 4, 4])
    found = compared(before, after, np.array([5, 1, 2, 9, 1, 1]))
    assert found.unchanged == 0
    assert [[p.row for p in one.pieces] for one in found.merging] == [[0, 2], [4, 5]]
    assert [[p.row for p in one.pieces] for one in found.splitting] == [[3, 2]]
    assert found.before.patterns == 4
    assert found.after.patterns == 3
    # pattern 1 goes on where most of its failures are; the lesser part and pattern 3 leave
    assert found.moved.tolist() == [2, 5]
    assert found.moved_failures == 3
    assert found.goes_to.tolist() == [0, 0, 0, 1, 2, 2]


def test_the_same_grouping_under_other_names_changes_nothing() -> None:
    before = np.array([7, 7, 3, 3, 9])
    found = compared(before, np.array([0, 0, 2, 2, 4]), np.ones(5, dtype=np.int64))
    assert found.unchanged == 3
    assert not found.merging
    assert not found.splitting
    assert found.moved_failures == 0


def test_figures_of_a_grouping_count_failures_not_texts() -> None:
    found = compared(np.array([0, 1, 1]), np.array([0, 1, 1]), np.array([1, 4, 5])).before
    assert found.occurrences["1"] == 9
    assert found.bloat == pytest.approx(2 / 3)
    assert found.coverage.failures == 10
    assert found.coverage.seen_once == 1


def test_the_curves_fall_and_rise_over_the_whole_range() -> None:
    vectors, guards = texts(300, groups=12), ["model|"] * 300
    stored = history(vectors, guards, ["a"] * 300, [Move(0, Geometry(1, vectors.mean(axis=0)))])
    drawn = curves(stored)
    bloat = [point.bloat for point in drawn.points]
    assert bloat[0] > 0.9
    assert bloat[-1] < 0.05
    assert drawn.points[-1].known_share > drawn.points[0].known_share
    assert (drawn.texts, drawn.of) == (300, 300)


def test_a_sample_is_always_the_same_and_said_to_be_one() -> None:
    vectors, guards = texts(300, groups=12), guards_of(300)
    stored = history(vectors, guards, ["a"] * 300, [Move(100, Geometry(1, vectors.mean(axis=0)))])
    drawn = curves(stored, sample=90)
    assert (drawn.texts, drawn.of) == (90, 300)
    chosen = sampled(stored, 90)
    assert chosen.fingerprints == sampled(stored, 90).fingerprints
    assert chosen.moves[0].texts == sum(f < "f00100" for f in chosen.fingerprints)


def test_an_adaptive_distance_starts_wide_and_narrows_as_more_is_known() -> None:
    vectors = texts(600, groups=15)
    stored = history(
        vectors, ["model|"] * 600, ["a"] * 600, [Move(0, Geometry(1, vectors.mean(axis=0)))]
    )
    policy = DedupPolicy(distance=0.4, adaptive=AdaptivePolicy(wide=0.8))
    found = simulate(stored, policy, np.arange(600))
    distances = [step.distance for step in found.steps]
    assert distances[0] == 0.8
    assert 0.4 <= distances[-1] < 0.5
    assert found.steps[-1].failures == 600
    assert found.steps[-1].patterns == len(set(found.replayed.groups.tolist()))
    assert (found.replayed.groups >= 0).all()


def test_repeated_texts_narrow_the_adaptive_distance_too() -> None:
    """Coverage is of failures: one text seen a hundred times is well known."""
    vectors = texts(20, groups=20)
    stored = history(vectors, ["model|"] * 20, ["a"] * 20)
    policy = DedupPolicy(distance=0.1, adaptive=AdaptivePolicy(wide=0.3))
    once = simulate(stored, policy, np.arange(20))
    often = simulate(stored, policy, np.concatenate([np.arange(20)] + [np.arange(19)] * 20))
    assert often.steps[-1].distance < once.steps[-1].distance


def test_without_the_adaptive_policy_a_simulation_is_a_replay() -> None:
    vectors, guards = texts(200, groups=9), guards_of(200)
    patterns, moves = decided(vectors, guards, 0.4, 64)
    stored = history(vectors, guards, patterns, moves)
    found = simulate(stored, DedupPolicy(distance=0.4), np.arange(200))
    assert found.replayed.groups.tolist() == firsts(patterns)
