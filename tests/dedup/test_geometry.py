from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.centroid import Centroid
from dedup.geometry import Geometry, first_geometry, moved, next_move


def _moves() -> Iterator[int]:
    count = 0
    while (move := next_move(count)) is not None:
        yield move
        count = move


def test_the_centre_moves_with_each_of_the_first_texts_then_ever_more_rarely_and_then_stays() -> (
    None
):
    moves = list(_moves())
    assert moves[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    gaps = np.diff(moves)
    assert (np.diff(gaps) >= 0).all()
    assert moves[-1] <= 10_000
    assert len(moves) < 40


@given(st.integers(0, 20_000))
def test_the_next_move_is_one_of_the_moves_whatever_is_asked(texts: int) -> None:
    """A batch may jump over a move; the one after it is where it would have been."""
    later = [move for move in _moves() if move > texts]
    assert next_move(texts) == (later[0] if later else None)


def test_before_the_first_move_distances_are_plain_cosine() -> None:
    raw = np.array([[3, 4], [0, 2]], dtype=np.float32) / 5
    np.testing.assert_allclose(
        first_geometry(2).placed(raw), raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6
    )


def test_a_single_pattern_is_not_its_own_centre() -> None:
    """Else thirty rewordings of a project's first failure would lie all around it."""
    rng = np.random.default_rng(1)
    words = np.array([1, 0, 0, 0]) + rng.normal(size=(30, 4)) * 0.12
    raw = (words / np.linalg.norm(words, axis=1, keepdims=True)).astype(np.float32)
    one = Centroid(raw.sum(axis=0), len(raw))
    placed = moved(first_geometry(4), [one]).placed(np.vstack([one.mean, raw]))
    assert (placed[1:] @ placed[0]).min() > 0.5


def test_what_all_patterns_have_in_common_is_taken_away() -> None:
    common = np.array([0.8, 0, 0, 0, 0], dtype=np.float32)
    own = np.eye(5, dtype=np.float32)[1:] * 0.6
    raw = np.vstack([common + own, common - own])
    centroids = [Centroid(row, 1) for row in raw] * 25
    placed = moved(first_geometry(5), centroids).placed(raw)
    assert float(raw[0] @ raw[1]) == pytest.approx(0.64)
    assert abs(float(placed[0] @ placed[1])) < 0.01


def test_one_large_pattern_does_not_draw_the_centre_into_its_middle() -> None:
    """It weighs one text more than all others together: here six, of a thousand."""
    small = [Centroid(row, 1) for row in np.eye(6, dtype=np.float32)[1:]]
    large = Centroid(np.eye(6, dtype=np.float32)[0] * 1000, 1000)
    centre = moved(first_geometry(6), [*small[:2], large, *small[2:]]).centre
    np.testing.assert_allclose(centre, np.array([6, 1, 1, 1, 1, 1]) / (2.5 + 11), atol=1e-6)


def test_patterns_of_which_none_outweighs_the_others_count_by_their_texts() -> None:
    rows = np.eye(3, dtype=np.float32)
    patterns = [Centroid(rows[n] * count, count) for n, count in enumerate((5, 3, 2))]
    centre = moved(first_geometry(3), patterns).centre
    np.testing.assert_allclose(centre, np.array([5, 3, 2]) / (2.5 + 10), atol=1e-6)


def test_a_project_without_patterns_has_its_centre_at_zero() -> None:
    assert moved(first_geometry(2), []).centre.tolist() == [0.0, 0.0]


def test_patterns_that_are_gone_count_for_nothing() -> None:
    there = [Centroid(np.array([1, 0], dtype=np.float32), 1)]
    gone = Centroid(np.zeros(2, dtype=np.float32), 0)
    with_gone, without = moved(first_geometry(2), [*there, gone]), moved(first_geometry(2), there)
    assert with_gone.centre.tolist() == without.centre.tolist()


def test_a_move_counts_up_and_keeps_the_metric_that_was_fitted() -> None:
    metric = np.diag([1.0, 2.0]).astype(np.float32)
    before = Geometry(7, np.zeros(2, dtype=np.float32), metric)
    after = moved(before, [Centroid(np.array([1, 0], dtype=np.float32), 1)])
    assert (after.number, after.metric is metric) == (8, True)


def test_a_vector_that_lies_in_the_centre_stays_as_it_was() -> None:
    raw = np.array([[0.6, 0.8]], dtype=np.float32)
    assert Geometry(1, raw[0]).placed(raw).tolist() == raw.tolist()


def test_placing_leaves_what_it_was_given_alone() -> None:
    raw = np.array([[0.6, 0.8]], dtype=np.float32)
    Geometry(1, np.array([0.1, 0.1], dtype=np.float32)).placed(raw)
    assert raw.tolist() == np.array([[0.6, 0.8]], dtype=np.float32).tolist()


def test_while_the_centre_is_young_a_text_must_be_near_its_pattern_by_raw_vectors_too() -> None:
    near, far = np.array([1, 0.5], dtype=np.float32), np.array([0.5, 1], dtype=np.float32)
    total = np.array([4, 0], dtype=np.float32)
    young = first_geometry(2)
    assert young.reaches(near, total)
    assert not young.reaches(far, total)
    assert Geometry(1, young.centre).reaches(far, total)


def test_a_centre_is_no_longer_young_from_twenty_texts_on() -> None:
    one = np.array([1, 0], dtype=np.float32)
    assert moved(first_geometry(2), [Centroid(one * 19, 19)]).young
    assert not moved(first_geometry(2), [Centroid(one * 20, 20)]).young
    assert not moved(first_geometry(2), [Centroid(one * 19, 19)], 20).young, (
        "of a text that is gone"
    )


def _seen_from(length: float) -> Geometry:
    return Geometry(1, np.array([length, 0], dtype=np.float32))


def test_where_texts_have_little_in_common_the_distance_is_plain_cosine() -> None:
    assert [_seen_from(length).stretch for length in (0.0, 0.2, 0.48)] == [1.0, 1.0, 1.0]
    cosines = np.array([1.0, 0.42, 0.0, -1.0])
    np.testing.assert_allclose(_seen_from(0.3).distances(cosines), [0, 0.58, 1, 2], atol=1e-9)


def test_the_more_texts_have_in_common_the_more_distances_are_stretched() -> None:
    stretches = [_seen_from(length).stretch for length in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    assert (np.diff(stretches) > 0).all()
    assert stretches[3] == pytest.approx(0.875 / 0.6)


def test_no_distance_is_greater_than_two_and_none_is_infinite() -> None:
    """So that a dedup distance of 2 joins everything, also where all texts are nearly the same."""
    far = _seen_from(1.0).distances(np.array([1.0, 0.9, 0.0, -1.0]))
    assert far[0] == 0
    assert 0 < far[1] < 2
    assert far[2:].tolist() == [2.0, 2.0]


def test_the_stretch_is_that_of_the_spread_of_the_texts_about_their_centre() -> None:
    """The length of a unit vector less the mean of all, in the mean of squares."""
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(500, 8)) + np.array([4.0, 0, 0, 0, 0, 0, 0, 0])
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    centre = raw.mean(axis=0)
    spread = float(np.sqrt(((raw - centre) ** 2).sum(axis=1).mean()))
    found = Geometry(1, centre.astype(np.float32)).stretch
    assert found == pytest.approx(0.875 / spread, rel=1e-4)
    assert found > 1
