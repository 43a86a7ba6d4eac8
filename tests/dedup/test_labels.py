"""Which pairs are asked about, and what the answers say about the distance and the metric."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from dedup.calibrate import NEEDED, Calibration, NotEnough, calibrated, too_few
from dedup.geometry import Geometry
from dedup.history import History, Move
from dedup.joining import Joining, geometry_in_force, joining, row_of_distances, sampled
from dedup.labels import Answer, Source, closures, in_order, questions
from dedup.metric import NEEDED_TEXTS, fitted, tried
from dedup.used import Unused, used
from dedup.what_if import replay

CURRENT = 0.45
DIMENSION = 24


def vectors_of(groups: int, each: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around as many middles, shuffled, and the group of each."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((groups, DIMENSION))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(groups), each))
    raw = middles[truth] + noise * rng.standard_normal((groups * each, DIMENSION))
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    return raw.astype(np.float32), truth


def history_of(vectors: np.ndarray, guards: list[str] | None = None) -> History:
    n, ones = len(vectors), np.ones(len(vectors), dtype=np.int64)
    geometry = Geometry(1, np.zeros(vectors.shape[1], np.float32))
    free = History(
        fingerprints=[f"{row * 7919 % 99991:05d}" for row in range(n)],
        guards=guards or ["model|"] * n,
        patterns=np.arange(n),
        decided=np.arange(n),
        names=[f"p{row}" for row in range(n)],
        occurrences=ones,
        asked=ones,
        fixed=np.zeros(n, dtype=bool),
        vectors=vectors,
        moves=[Move(0, geometry)],
    )
    today = replay(free, CURRENT).groups
    return msgspec.structs.replace(free, patterns=today, decided=today)


def pairs_of(history: History, current: float = CURRENT) -> Joining:
    return joining(history, row_of_distances(current), geometry_in_force(history))


def answers_of(pairs: Joining, truth: np.ndarray, count: int, seed: int = 0) -> list[Answer]:
    """Draw pairs and answer as the groups say."""
    rng = np.random.default_rng(seed)
    prints = pairs.history.fingerprints
    answers = []
    for one in questions(pairs, [], around=CURRENT, count=count, rng=rng):
        first, second = in_order(prints[one.first], prints[one.second])
        same = truth[one.first] == truth[one.second]
        answers.append(Answer(first=first, second=second, verdict="same" if same else "different"))
    return answers


@pytest.fixture(scope="module")
def grouped() -> tuple[Joining, np.ndarray]:
    """Twenty groups of eight, so noisy that no distance tells them apart for sure."""
    vectors, truth = vectors_of(20, 8, 0.19, seed=3)
    return pairs_of(history_of(vectors)), truth


def test_the_joining_distance_is_the_least_that_puts_two_texts_together(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, _ = grouped
    for pair in (0, 777, 5000):
        first, second = int(pairs.first[pair]), int(pairs.second[pair])
        expected = len(pairs.distances)
        for place, distance in enumerate(pairs.distances):
            groups = replay(pairs.history, float(distance)).groups
            if groups[first] == groups[second]:
                expected = place
                break
        assert pairs.at[pair] == expected


def test_texts_of_different_guards_are_no_pair() -> None:
    vectors, _ = vectors_of(3, 8, 0.1, seed=1)
    guards = ["model|refund" if row % 2 else "model|" for row in range(24)]
    pairs = pairs_of(history_of(vectors, guards))
    assert len(pairs.at) == 2 * (12 * 11 // 2)
    assert all(guards[a] == guards[b] for a, b in zip(pairs.first, pairs.second, strict=True))
    asked = questions(pairs, [], around=CURRENT, count=20, rng=np.random.default_rng(0))
    of_guard = Counter(guards[one.first] for one in asked)
    assert abs(of_guard["model|"] - of_guard["model|refund"]) <= 8, "both guards get their turn"


def test_pairs_are_found_by_their_fingerprints_in_any_order(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, _ = grouped
    names = pairs.history.fingerprints
    wanted = [
        (names[3], names[9]),
        (names[9], names[3]),
        (names[0], "unknown"),
        (names[4], names[4]),
    ]
    found = pairs.pairs(wanted)
    assert found[0] == found[1] >= 0
    assert (pairs.first[found[0]], pairs.second[found[0]]) == (3, 9)
    assert found[2:].tolist() == [-1, -1]


def test_questions_are_near_the_distance_on_both_sides_and_thin_out(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, _ = grouped
    asked = questions(pairs, [], around=CURRENT, count=60, rng=np.random.default_rng(1))
    distances = np.array([one.distance for one in asked], dtype=float)
    assert (distances <= CURRENT).sum() >= 15
    assert (distances > CURRENT).sum() >= 15
    assert (np.abs(distances - CURRENT) <= 0.1001).mean() >= 0.5
    assert distances.max() <= CURRENT + 0.3, "nothing beyond reach is asked"


def test_questions_come_from_many_patterns_and_texts(grouped: tuple[Joining, np.ndarray]) -> None:
    pairs, _ = grouped
    asked = questions(pairs, [], around=CURRENT, count=40, rng=np.random.default_rng(1))
    texts = Counter(row for one in asked for row in (one.first, one.second))
    assert max(texts.values()) <= 3
    assert len({pairs.history.patterns[row] for row in texts}) >= 10


def test_the_same_seed_draws_the_same_and_answered_pairs_never_come_again(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, truth = grouped

    def drawn(answers: list[Answer], seed: int) -> list[tuple[int, int]]:
        rng = np.random.default_rng(seed)
        asked = questions(pairs, answers, around=CURRENT, count=30, rng=rng)
        return [(one.first, one.second) for one in asked]

    assert drawn([], 5) == drawn([], 5) != drawn([], 6)
    answers = answers_of(pairs, truth, 30, seed=5)
    assert not set(drawn([], 5)) & set(drawn(answers, 5))
    prints = {name: row for row, name in enumerate(pairs.history.fingerprints)}
    merged = Answer(
        first=answers[0].first, second=answers[0].second, verdict="same", source="merge"
    )
    named = {tuple(sorted((prints[merged.first], prints[merged.second])))}
    assert not named & set(drawn([merged], 5))


def test_when_every_pair_is_answered_nothing_is_asked() -> None:
    vectors, truth = vectors_of(2, 3, 0.05, seed=2)
    pairs = pairs_of(history_of(vectors))
    answers = answers_of(pairs, truth, 100)
    assert questions(pairs, answers, around=CURRENT, count=5, rng=np.random.default_rng(0)) == []


def test_what_is_the_same_as_the_same_is_the_same_unless_somebody_disagrees() -> None:
    def said(first: str, second: str, *, same: bool = True) -> Answer:
        return Answer(first=first, second=second, verdict="same" if same else "different")

    classes = closures([said("a", "b"), said("b", "c"), said("d", "e"), said("a", "d", same=False)])
    assert classes["a"] == classes["b"] == classes["c"] != classes["d"] == classes["e"]
    assert "a" not in closures([said("a", "b"), said("b", "c"), said("a", "c", same=False)])


def test_a_sample_has_the_named_texts_and_is_always_the_same(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    history = grouped[0].history
    named = history.fingerprints[17]
    one = sampled(history, [named], most=20)
    assert len(one) == 20
    assert named in one.fingerprints
    assert list(one.fingerprints) == list(sampled(history, [named], most=20).fingerprints)


def test_too_few_answers_of_a_kind_are_refused_with_how_many_are_missing(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, truth = grouped
    answers = answers_of(pairs, truth, 200)
    same = [one for one in answers if one.verdict == "same"]
    some = [*same, *[one for one in answers if one.verdict == "different"][: NEEDED - 3]]
    found = calibrated(pairs, some, current=CURRENT, rng=np.random.default_rng(0))
    assert isinstance(found, NotEnough)
    assert (found.same_missing, found.different_missing) == (0, 3)
    assert too_few(some) == found
    assert too_few(answers) is None
    merges = [msgspec.structs.replace(one, source="split") for one in answers]
    few = too_few(merges)
    assert few is not None
    assert few.same == few.different == 0, "what is reported is not drawn"


def test_an_answer_that_is_not_used_is_counted_under_its_reason() -> None:
    vectors, _ = vectors_of(6, 8, 0.1, seed=1)
    guards = ["model|refund" if row % 2 else "model|" for row in range(48)]
    pairs = pairs_of(history_of(vectors, guards))
    names, reach = pairs.history.fingerprints, len(pairs.distances)

    def said(one: str, other: str, source: Source = "label") -> Answer:
        first, second = in_order(one, other)
        return Answer(first=first, second=second, verdict="different", source=source)

    def at(pair: int) -> tuple[str, str]:
        return names[pairs.first[pair]], names[pairs.second[pair]]

    far = np.flatnonzero(pairs.at == reach)[:3]
    near = np.flatnonzero(pairs.at < reach)[:4]
    answers = [
        *[said(*at(pair)) for pair in (*far, *near)],
        said(names[0], names[1]),
        said(names[0], "unknown", "grey"),
        said("gone", names[3]),
        said("gone", "unknown", "split"),
    ]
    found, same, unused = used(pairs, answers)
    assert found.tolist() == near.tolist()
    assert same.tolist() == [False] * 4
    assert unused == Unused(beyond_reach=3, guards_differ=1, not_there=2)
    few = calibrated(pairs, answers, current=CURRENT, rng=np.random.default_rng(0))
    assert isinstance(few, NotEnough)
    assert (few.different, few.unused) == (4, unused)


def _truth_of(pairs: Joining, truth: np.ndarray, place: int) -> tuple[float, float, float]:
    """Precision, recall within reach, and F1 that a distance has by the groups themselves."""
    same = (truth[pairs.first] == truth[pairs.second]) & (pairs.at < len(pairs.distances))
    together = pairs.together(place)
    right = (together & same).sum()
    precision, recall = right / max(1, together.sum()), right / same.sum()
    return float(precision), float(recall), float(2 * right / (together.sum() + same.sum()))


def test_the_proposed_distance_is_nearly_the_best_one(grouped: tuple[Joining, np.ndarray]) -> None:
    pairs, truth = grouped
    best = max(_truth_of(pairs, truth, place)[2] for place in range(len(pairs.distances)))
    for seed in range(4):
        answers = answers_of(pairs, truth, 150, seed)
        found = calibrated(pairs, answers, current=CURRENT, rng=np.random.default_rng(seed))
        assert isinstance(found, Calibration)
        got = _truth_of(pairs, truth, pairs.place(found.proposed.distance))[2]
        assert got >= best - 0.06
        assert 0 <= found.better <= 1


def test_the_intervals_have_the_truth_in_them_though_questions_crowd_the_boundary(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    """Of the bare answers half are wrong at the boundary; of all pairs far fewer are."""
    pairs, truth = grouped
    precision, recall, _ = _truth_of(pairs, truth, pairs.place(CURRENT))
    inside = 0
    for seed in range(8):
        answers = answers_of(pairs, truth, 150, seed)
        found = calibrated(pairs, answers, current=CURRENT, rng=np.random.default_rng(seed))
        assert isinstance(found, Calibration)
        now = found.current
        inside += now.precision.low <= precision <= now.precision.high
        inside += now.recall.low <= recall <= now.recall.high
        assert now.precision.low <= now.precision.value <= now.precision.high
    assert inside >= 12, f"{inside} of 16 intervals of 95 %"


def test_the_same_answers_give_the_same_figures(grouped: tuple[Joining, np.ndarray]) -> None:
    pairs, truth = grouped
    answers = answers_of(pairs, truth, 120)
    found = [
        calibrated(pairs, answers, current=CURRENT, rng=np.random.default_rng(7)) for _ in range(2)
    ]
    assert found[0] == found[1]


def test_a_merge_by_hand_holds_for_all_texts_of_both_patterns(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, truth = grouped
    answers = answers_of(pairs, truth, 150)
    decided = pairs.history.decided
    sizes = Counter(decided.tolist()).most_common(2)
    one, other = (int(np.flatnonzero(decided == code)[0]) for code, _ in sizes)
    names = pairs.history.fingerprints
    first, second = in_order(names[one], names[other])
    merge = Answer(first=first, second=second, verdict="same", source="merge")
    before = calibrated(pairs, answers, current=CURRENT, rng=np.random.default_rng(0))
    after = calibrated(pairs, [*answers, merge], current=CURRENT, rng=np.random.default_rng(0))
    assert isinstance(before, Calibration)
    assert isinstance(after, Calibration)
    assert after.reported - before.reported == sizes[0][1] * sizes[1][1]
    assert after.current.recall.value < before.current.recall.value


def test_the_metric_takes_away_the_directions_in_which_rewordings_differ() -> None:
    rng = np.random.default_rng(0)
    spread = np.ones(DIMENSION)
    spread[0] = 8.0
    classes = np.repeat(np.arange(60), 3)
    vectors = rng.standard_normal((60, DIMENSION))[classes] + 0.2 * spread * rng.standard_normal(
        (180, DIMENSION)
    )
    metric, shrinkage = fitted(vectors, classes)
    assert metric.shape == (DIMENSION, DIMENSION)
    assert metric.dtype == np.float32
    assert np.allclose(metric, metric.T, atol=1e-5)
    assert 0 <= shrinkage <= 1
    gains = np.diag(metric)
    assert gains[0] < 0.5 * np.median(gains[1:])


def _noisy_direction(seed: int, strength: float, noise: float = 0.06) -> tuple[Joining, np.ndarray]:
    """Groups whose texts differ most in four directions that say nothing of the group."""
    rng = np.random.default_rng(seed)
    middles = np.zeros((40, DIMENSION))
    middles[:, 4:] = rng.standard_normal((40, DIMENSION - 4))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(40), 6))
    apart = noise * rng.standard_normal((240, DIMENSION))
    apart[:, :4] *= strength
    raw = middles[truth] + apart
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    return pairs_of(history_of(raw.astype(np.float32))), truth


def test_a_metric_that_helps_groups_it_was_not_fitted_on_is_accepted() -> None:
    pairs, truth = _noisy_direction(0, strength=9.0)
    trial = tried(pairs, answers_of(pairs, truth, 400), geometry_in_force(pairs.history), seed=1)
    assert trial.texts >= NEEDED_TEXTS
    assert trial.accepted, trial.why
    assert trial.metric is not None
    assert trial.f1_after is not None
    assert trial.f1_before is not None
    assert trial.f1_after > trial.f1_before


def test_a_metric_that_does_not_help_is_refused_with_the_numbers() -> None:
    pairs, truth = _noisy_direction(1, strength=1.0, noise=0.18)
    trial = tried(pairs, answers_of(pairs, truth, 400), geometry_in_force(pairs.history), seed=1)
    assert not trial.accepted
    assert trial.metric is None
    assert "F1" in trial.why


def test_below_a_hundred_labelled_failures_no_metric_is_fitted(
    grouped: tuple[Joining, np.ndarray],
) -> None:
    pairs, truth = grouped
    trial = tried(pairs, answers_of(pairs, truth, 30), geometry_in_force(pairs.history), seed=1)
    assert trial.metric is None
    assert trial.texts_missing == NEEDED_TEXTS - trial.texts > 0
