"""How much of what goes wrong is known: from how often each pattern was seen.

Everything is computed from the frequencies of frequencies: how many patterns were seen once (f1),
twice (f2), and so on, among n failures.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from dedup.policy import DedupPolicy

CONFIDENCE = 0.95
_FEW = 10
"""With fewer patterns seen once (or failures of others) the normal law of Esty's interval is not to be
trusted: over five simulated kinds of projects at 10 failures it held the true share in 15 to 91 % of
the runs, with the exact binomial bound beside it in 90 to 100 % (`tests/dedup/test_coverage.py`)."""


class Interval(msgspec.Struct, frozen=True):
    """A confidence interval (95 %)."""

    low: float
    high: float


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a project's (or a mode's) patterns say about those that were not seen yet.

    failures, patterns: how many were seen. seen_once, seen_twice: patterns.
    known_share: estimate of the share of failures to come that belong to a pattern already known.
    patterns_in_all: estimate (a lower bound) of how many patterns there are, the unseen included.
    new_in_next: of as many failures again, how many patterns are expected to be new.
    """

    failures: int
    patterns: int
    seen_once: int
    seen_twice: int
    known_share: float | None
    known_share_interval: Interval | None
    patterns_in_all: float
    patterns_in_all_interval: Interval
    new_in_next: float


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """The discovery curve: patterns known after so many failures, and how it may go on.

    seen: (failures, patterns) as it was. forecast: (failures, patterns, low, high) from there on, to
    twice as many failures; beyond that no forecast is reliable (Chao & Jost 2012).
    """

    seen: Sequence[tuple[int, int]]
    forecast: Sequence[tuple[int, float, float, float]]


def frequencies(occurrences: Iterable[int]) -> dict[int, int]:
    """How many patterns were seen how often, from each pattern's number of failures."""
    return dict(Counter(int(count) for count in occurrences if count > 0))


def coverage(seen: Mapping[int, int]) -> Coverage:
    """The estimates. `seen`: by number of occurrences, how many patterns have it.

    known_share: Good-Turing, 1 - f1/n (Good 1953, "The population frequencies of species and the
    estimation of population parameters"); its interval after Esty 1983, "A normal limit law for a
    nonparametric estimator of the coverage of a random sample", and where that law has too little
    to go by also not narrower above the exact binomial bound (Clopper & Pearson 1934).
    patterns_in_all: Chao1, bias-corrected where no pattern was seen twice (Chao 1984), with its
    log-normal interval (Chao 1987).
    new_in_next: Chao & Jost 2012, equation 12, for n more failures.
    """
    n = sum(times * count for times, count in seen.items())
    patterns, once, twice = sum(seen.values()), seen.get(1, 0), seen.get(2, 0)
    unseen = _unseen(n, once, twice)
    return Coverage(
        failures=n,
        patterns=patterns,
        seen_once=once,
        seen_twice=twice,
        known_share=1 - once / n if n else None,
        known_share_interval=_known_interval(n, once, twice) if n else None,
        patterns_in_all=patterns + unseen,
        patterns_in_all_interval=_in_all_interval(n, patterns, once, twice),
        new_in_next=_new_after(n, n, once, unseen),
    )


def discovery(new_at: Sequence[int], seen: Mapping[int, int], points: int = 60) -> Discovery:
    """The curve so far and its forecast.

    new_at: for each pattern the number of the failure (from 1) it was first seen with, in any order.
    seen: as `coverage` takes it.
    """
    n = sum(times * count for times, count in seen.items())
    if not n:
        return Discovery(seen=[], forecast=[])
    places = np.unique(np.linspace(1, n, points).round().astype(int))
    known = np.searchsorted(np.sort(np.asarray(new_at, dtype=np.int64)), places, side="right")
    one = coverage(seen)
    once = one.seen_once
    bounds = (
        one.patterns_in_all - one.patterns,
        one.patterns_in_all_interval.low - one.patterns,
        one.patterns_in_all_interval.high - one.patterns,
    )
    forecast = []
    for more in np.unique(np.linspace(0, n, points // 2).round().astype(int)):
        middle, low, high = (_new_after(int(more), n, once, unseen) for unseen in bounds)
        at = one.patterns
        forecast.append((n + int(more), at + middle, at + low, at + high))
    pairs = zip(places.tolist(), known.tolist(), strict=True)
    return Discovery(seen=list(pairs), forecast=forecast)


def adaptive_distance(policy: DedupPolicy, known: Coverage) -> float:
    """The dedup distance in force: the policy's, or wider while little is known.

    With the adaptive policy on, it goes from `wide` at a known share of 0 to `distance` at 1, in
    proportion: `wide - known_share * (wide - distance)`. The lower end of the share's interval is
    taken, so that the first few failures, which prove nothing, narrow nothing. It rises or falls
    with the share alone: more known is never wider.
    """
    if policy.adaptive is None or policy.adaptive.wide <= policy.distance:
        return policy.distance
    share = known.known_share_interval.low if known.known_share_interval is not None else 0.0
    return policy.adaptive.wide - share * (policy.adaptive.wide - policy.distance)


def _unseen(n: int, once: int, twice: int) -> float:
    """Chao1's estimate of the patterns not seen: f1^2/2f2, or f1(f1-1)/2 where f2 is 0."""
    if n == 0:
        return 0.0
    small = (n - 1) / n
    return small * once**2 / (2 * twice) if twice else small * once * (once - 1) / 2


def _in_all_interval(n: int, patterns: int, once: int, twice: int) -> Interval:
    """Chao 1987: T = S - s is taken as log-normal, so that the lower end is never below s."""
    unseen = _unseen(n, once, twice)
    if unseen <= 0:
        return Interval(float(patterns), float(patterns))
    small = (n - 1) / n
    if twice:
        ratio = once / twice
        variance = twice * (small / 2 * ratio**2 + small**2 * ratio**3 + small**2 / 4 * ratio**4)
    else:
        variance = (
            small * once * (once - 1) / 2
            + small**2 * once * (2 * once - 1) ** 2 / 4
            - small**2 * once**4 / (4 * (patterns + unseen))
        )
    spread = math.exp(_z() * math.sqrt(math.log1p(max(0.0, variance) / unseen**2)))
    return Interval(patterns + unseen / spread, patterns + unseen * spread)


def _known_interval(n: int, once: int, twice: int) -> Interval:
    share = 1 - once / n
    deviation = math.sqrt(max(0.0, (once * share + 2 * twice) / n**2))
    low, high = share - _z() * deviation, share + _z() * deviation
    if once < _FEW or n - once < _FEW:
        # half a second and 40 MB, which a deduper whose distance is fixed never needs
        from scipy import stats  # noqa: PLC0415

        exact = stats.binomtest(once, n).proportion_ci(CONFIDENCE, method="exact")
        low, high = min(low, 1 - float(exact.high)), max(high, 1 - float(exact.low))
    return Interval(max(0.0, low), min(1.0, high))


def _new_after(more: int, n: int, once: int, unseen: float) -> float:
    """Patterns that `more` failures are expected to add: f0 (1 - (1 - f1/(n f0 + f1))^more)."""
    if unseen <= 0 or n == 0 or more == 0:
        return 0.0
    return unseen * -math.expm1(more * math.log1p(-once / (n * unseen + once)))


def _z() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
