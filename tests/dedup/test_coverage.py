"""The estimates against published figures and against what they estimate."""

import numpy as np
import pytest

from dedup.coverage import (
    Coverage,
    adaptive_distance,
    coverage,
    discovery,
    frequencies,
)
from dedup.policy import AdaptivePolicy, DedupPolicy

ADAPTIVE = DedupPolicy(distance=0.4, adaptive=AdaptivePolicy(wide=0.7))


def test_the_estimates_are_those_of_the_formulas_worked_by_hand() -> None:
    """20 patterns, f1 = 8, f2 = 4, n = 70: f1^2 / 2f2 = 8, times 69/70."""
    seen = {1: 8, 2: 4, 4: 4, 8: 1, 10: 3}
    one = coverage(seen)
    assert (one.failures, one.patterns, one.seen_once, one.seen_twice) == (70, 20, 8, 4)
    assert one.patterns_in_all == pytest.approx(20 + 8 * 69 / 70)
    assert one.known_share == pytest.approx(1 - 8 / 70)
    low, high = one.patterns_in_all_interval.low, one.patterns_in_all_interval.high
    assert 20 < low < one.patterns_in_all < high
    # by hand: variance 4 (0.98571/2 * 4 + 0.97163 * 8 + 0.97163/4 * 16) = 54.52; T = 7.8857
    # K = exp(1.96 sqrt(ln(1 + 54.52/62.18))) = 4.739
    assert low == pytest.approx(20 + 7.8857 / 4.739, rel=1e-3)
    assert high == pytest.approx(20 + 7.8857 * 4.739, rel=1e-3)


def test_without_patterns_seen_twice_the_bias_corrected_form_is_used() -> None:
    one = coverage({1: 3, 5: 1})
    assert one.patterns_in_all == pytest.approx(4 + 7 / 8 * 3 * 2 / 2)
    assert one.patterns_in_all_interval.low > 4


@pytest.mark.parametrize("seen", [{}, {1: 1}, {1: 50}, {7: 3}, {2: 1}, {1: 1, 2: 1}])
def test_every_history_has_estimates_that_make_sense(seen: dict[int, int]) -> None:
    one = coverage(seen)
    assert one.patterns_in_all >= one.patterns
    assert one.patterns_in_all_interval.low >= one.patterns
    assert one.patterns_in_all_interval.high >= one.patterns_in_all
    if not seen:
        assert one.known_share is None
        assert one.known_share_interval is None
        return
    interval = one.known_share_interval
    assert interval is not None
    assert one.known_share is not None
    assert 0 <= interval.low <= one.known_share <= interval.high <= 1


def test_nothing_seen_once_does_not_prove_that_all_is_known() -> None:
    one = coverage({5: 2})
    assert one.known_share == 1
    assert one.known_share_interval is not None
    assert one.known_share_interval.low < 0.75


@pytest.mark.parametrize(("kinds", "slope"), [(20, 1.0), (200, 1.0), (2000, 1.1), (500, 0.5)])
@pytest.mark.parametrize("failures", [10, 50, 500])
def test_the_interval_holds_the_share_that_is_really_known(
    kinds: int, slope: float, failures: int
) -> None:
    """In at least 84 of 100 drawn projects; 95 are promised where the law of large numbers holds."""
    rng = np.random.default_rng(7)
    often = 1 / np.arange(1, kinds + 1) ** slope
    often /= often.sum()
    held = 0
    for _ in range(200):
        drawn = rng.multinomial(failures, often)
        really = often[drawn > 0].sum()
        interval = coverage(frequencies(drawn)).known_share_interval
        assert interval is not None
        held += interval.low - 1e-9 <= really <= interval.high + 1e-9
    assert held >= 168


def test_the_forecast_is_what_comes() -> None:
    """Of as many failures again: within a fifth of the mean of two hundred continuations."""
    rng = np.random.default_rng(3)
    often = 1 / np.arange(1, 301)
    often /= often.sum()
    expected, came = [], []
    for _ in range(200):
        first = rng.multinomial(800, often)
        more = rng.multinomial(800, often)
        expected.append(coverage(frequencies(first)).new_in_next)
        came.append(((first == 0) & (more > 0)).sum())
    assert np.mean(expected) == pytest.approx(np.mean(came), rel=0.2)


def test_the_discovery_curve_ends_where_the_forecast_begins() -> None:
    new_at = [1, 2, 3, 7, 20, 45]
    seen = {1: 2, 2: 2, 20: 1, 24: 1}
    curve = discovery(new_at, seen)
    assert curve.seen[0] == (1, 1)
    assert curve.seen[-1] == (50, 6)
    assert curve.forecast[0] == (50, 6, 6, 6)
    assert curve.forecast[-1][0] == 100
    known = [patterns for _, patterns, _, _ in curve.forecast]
    assert known == sorted(known)
    assert all(low <= middle <= high for _, middle, low, high in curve.forecast)
    assert curve.forecast[-1][1] - 6 == pytest.approx(coverage(seen).new_in_next)
    assert discovery([], {}).seen == []


def test_the_adaptive_distance_narrows_with_what_is_known_and_never_below_the_distance() -> None:
    nothing = coverage({})
    little, much = coverage({1: 5, 4: 6}), coverage({1: 5, 200: 5})
    everything = coverage({10_000: 50})
    distances = [adaptive_distance(ADAPTIVE, one) for one in (nothing, little, much, everything)]
    assert distances[0] == 0.7
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == 4
    assert distances[-1] == pytest.approx(0.4, abs=0.001)


def test_one_failure_narrows_nothing() -> None:
    assert adaptive_distance(ADAPTIVE, coverage({1: 1})) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(
    "policy",
    [DedupPolicy(distance=0.4), DedupPolicy(distance=0.4, adaptive=AdaptivePolicy(wide=0.3))],
)
def test_a_policy_that_is_not_wider_has_its_distance(policy: DedupPolicy) -> None:
    known: Coverage = coverage({1: 2, 3: 4})
    assert adaptive_distance(policy, known) == 0.4
