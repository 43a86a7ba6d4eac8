"""The dedup distance that people's answers ask for, and how sure that is.

What is wanted is precision and recall of "same pattern" over all pairs of a project's texts, as a replay
puts them together. What is known are the answers to few pairs, most of them near the boundary. So each
pair that was not asked about counts with its chance of being the same, which is fitted on the answers as
a falling logistic curve of the joining distance (J. Platt, Probabilistic outputs for support vector
machines, 1999). The curve is fitted within joining distances, so that it does not matter how many
questions each of them got; its mean over all pairs is the model-assisted estimate of C.-E. Särndal, B.
Swensson and J. Wretman, Model Assisted Survey Sampling, 1992. Within them, questions go round guards and
patterns; weights put these back to their shares of all pairs. Intervals are those of the Bayesian
bootstrap (D. B. Rubin, 1981): the fit is repeated with random weights of the answers.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.joining import Joining
from dedup.labels import DRAWN, Answer
from dedup.used import Unused, used

NEEDED = 20
"""Answers of each kind. With 60 answers, some 20 of them of the rarer kind, the proposed distance costs
0.02 F1 against the best one on the sample data; intervals are 0.3 to 0.5 wide
(`benchmarks/calibrate.py`)."""
_RESAMPLES = 400
_NEWTON_STEPS = 30
_RIDGE = 0.02  # of the slope, which is infinite when the answers separate
_SCALE = 10.0  # joining distances in tenths, in which slopes are about one
_HEAVIEST = 10.0  # weight: one answer must not decide alone
_BAND = 0.1  # of joining distances, in which weights are found: narrower ones have too few answers
_TAILS = (2.5, 97.5)  # per cent


class Estimate(msgspec.Struct, frozen=True):
    """A share with its interval of 95 %."""

    value: float
    low: float
    high: float


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a distance makes of the pairs.

    precision: the share of the same among those together; recall: of those together among the same.
    patterns: how many the texts that were looked at make.
    """

    distance: float
    precision: Estimate
    recall: Estimate
    f1: Estimate
    patterns: int


class NotEnough(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers to drawn pairs can be used of each kind, and how many are still needed."""

    same: int
    different: int
    same_missing: int
    different_missing: int
    unused: Unused = Unused()


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The distance in force and the one that the answers ask for.

    better: the share of resamples in which the proposed distance has the higher F1.
    same, different: answers to drawn pairs that were used. unused: those that were not.
    reported: pairs known from merges and splits by hand.
    texts, pairs: what was looked at. reach: pairs that no distance up to this joins count as different.
    curve: every distance that was tried.
    """

    current: Quality
    proposed: Quality
    better: float
    same: int
    different: int
    unused: Unused
    reported: int
    texts: int
    pairs: int
    reach: float
    curve: Sequence[Quality]


def calibrated(
    pairs: Joining, answers: Sequence[Answer], *, current: float, rng: np.random.Generator
) -> Calibration | NotEnough:
    """Fit the distance. `current` must be one of the distances of `pairs`.

    Answers about texts that are not in `pairs`, that have different guards, or that no distance of
    `pairs` joins, are left out.
    """
    at, same, unused = used(pairs, answers)
    counts = int(same.sum()), int((~same).sum())
    few = _too_few(*counts, unused)
    if few is not None:
        return few
    known = _known(pairs, answers)
    population = _Population(pairs, known)
    shares = _Shares(pairs, at, same)
    fitted = population.quality(shares.fitted(np.ones(len(at))))
    resamples = np.stack(
        [
            population.quality(shares.fitted(rng.exponential(size=len(at))))
            for _ in range(_RESAMPLES)
        ]
    )
    curve = [_quality(pairs, fitted, resamples, k) for k in range(len(pairs.distances))]
    now, best = pairs.place(current), int(np.argmax(fitted[2]))
    return Calibration(
        current=curve[now],
        proposed=curve[best],
        better=float((resamples[:, 2, best] > resamples[:, 2, now]).mean()),
        same=counts[0],
        different=counts[1],
        unused=unused,
        reported=int((known >= 0).sum()),
        texts=len(pairs.history),
        pairs=len(pairs.at),
        reach=float(pairs.distances[-1]),
        curve=curve,
    )


def too_few(answers: Sequence[Answer]) -> NotEnough | None:
    """Whether there are too few answers, whichever texts they are about; None when there are enough."""
    drawn = Counter(answer.verdict for answer in answers if answer.source in DRAWN)
    return _too_few(drawn["same"], drawn["different"], Unused())


def _too_few(same: int, different: int, unused: Unused) -> NotEnough | None:
    if min(same, different) >= NEEDED:
        return None
    return NotEnough(
        same=same,
        different=different,
        same_missing=max(0, NEEDED - same),
        different_missing=max(0, NEEDED - different),
        unused=unused,
    )


def _known(pairs: Joining, answers: Sequence[Answer]) -> np.ndarray:
    """What people reported of pairs, (m,) int8: 1 same, 0 different, -1 nothing.

    Whole patterns are merged, and texts are taken out of whole patterns: what was said of two texts
    holds for all that were with them.
    """
    known = np.full(len(pairs.at), -1, dtype=np.int8)
    history = pairs.history
    rows = {name: row for row, name in enumerate(history.fingerprints)}
    for answer in answers:
        if answer.source in DRAWN or not {answer.first, answer.second} <= rows.keys():
            continue
        codes = history.decided if answer.verdict == "same" else history.patterns
        one, other = codes[rows[answer.first]], codes[rows[answer.second]]
        if one == other:  # no longer so
            continue
        left, right = codes[pairs.first], codes[pairs.second]
        between = ((left == one) & (right == other)) | ((left == other) & (right == one))
        known[between] = answer.verdict == "same"
    return known


class _Shares:
    """The curve that is fitted on the answers."""

    def __init__(self, pairs: Joining, at: np.ndarray, same: np.ndarray) -> None:
        place = pairs.at[at]
        self._middle = float(pairs.distances[place].mean())
        self._x = _SCALE * (pairs.distances[place] - self._middle)
        self._grid = _SCALE * (pairs.distances - self._middle)
        self._same = same.astype(np.float64)
        self._weights = _weights_of_draw(pairs, at)

    def fitted(self, weights: np.ndarray) -> np.ndarray:
        """The share of same pairs at each joining distance, (k,) float64. `weights`: (a,), of answers.

        Newton's method on the penalised logarithm of the likelihood; the slope is never positive.
        """
        weights = self._weights * weights
        weights = weights * (len(weights) / weights.sum())
        x = np.stack([np.ones_like(self._x), self._x], axis=1)
        penalty = np.diag([1e-6, _RIDGE])
        coefficients = np.zeros(2)
        for _ in range(_NEWTON_STEPS):
            share = _logistic(x @ coefficients)
            gradient = x.T @ (weights * (self._same - share)) - penalty @ coefficients
            curvature = (x.T * (weights * share * (1 - share))) @ x + penalty
            step = np.linalg.solve(curvature, gradient)
            # a full step may overshoot where the answers nearly separate
            coefficients = coefficients + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
            if np.abs(step).max() < 1e-8:  # noqa: PLR2004 - beyond what is printed
                break
        if coefficients[1] > 0:
            mean = float((weights * self._same).sum() / weights.sum())
            return np.full(len(self._grid), mean)
        return _logistic(coefficients[0] + coefficients[1] * self._grid)


def _logistic(x: np.ndarray) -> np.ndarray:
    values: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(x, -40, 40)))
    return values


def _weights_of_draw(pairs: Joining, at: np.ndarray) -> np.ndarray:
    """By each answer (a,): how many pairs it stands for, within its band of joining distances.

    Post-stratified (D. Holt and T. M. F. Smith, 1979) by guard and by how many pairs the two texts'
    patterns have with each other, since questions go round the guards and the patterns in turn.
    """
    _, guards = np.unique(np.array(pairs.history.guards, dtype=object), return_inverse=True)
    inside = np.flatnonzero(pairs.at < len(pairs.distances))
    rows, which = np.unique(np.r_[inside, at], return_inverse=True)
    patterns = np.sort(
        np.stack([pairs.history.patterns[pairs.first], pairs.history.patterns[pairs.second]]),
        axis=0,
    )
    _, between, count = np.unique(
        patterns[0] * (patterns.max() + 1) + patterns[1], return_inverse=True, return_counts=True
    )
    sizes = (np.log2(count[between[rows]]) / 2).astype(
        np.int64
    )  # 1 to 3 pairs, 4 to 15, 16 to 63, ...
    bands = (pairs.distances[pairs.at[rows]] / _BAND).astype(np.int64)
    cells = (bands * (guards.max() + 1) + guards[pairs.first[rows]]) * 64 + sizes
    _, cells = np.unique(cells, return_inverse=True)
    of_pairs, of_answers = which[: len(inside)], which[len(inside) :]

    def share(codes: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """By each answer, how many of these have its code."""
        found: np.ndarray = np.bincount(codes[inside], minlength=codes.max() + 1)[codes[of_answers]]
        return found

    stands_for = share(cells, of_pairs) / share(bands, of_pairs)
    weights = stands_for / (share(cells, of_answers) / share(bands, of_answers))
    bounded: np.ndarray = np.clip(weights, 1 / _HEAVIEST, _HEAVIEST)
    return bounded


class _Population:
    """All pairs, counted by joining distance: what a curve of shares means for each distance."""

    def __init__(self, pairs: Joining, known: np.ndarray) -> None:
        reach = len(pairs.distances)
        unknown = known < 0
        self._together = np.empty(reach)
        self._together_known = np.empty(reach)
        self._by_place = np.empty((reach, reach + 1))
        for place in range(reach):
            together = pairs.together(place)
            self._together[place] = together.sum()
            self._together_known[place] = (together & (known == 1)).sum()
            self._by_place[place] = np.bincount(pairs.at[together & unknown], minlength=reach + 1)
        self._pairs = np.bincount(pairs.at[unknown], minlength=reach + 1)[:reach]
        self._same_known = int((known == 1).sum())

    def quality(self, shares: np.ndarray) -> np.ndarray:
        """Precision, recall and F1 at each distance, (3, k). `shares`: (k,), same by joining distance.

        Where nothing is together, precision is 1.
        """
        right = self._by_place[:, :-1] @ shares + self._together_known
        same = float(self._pairs @ shares) + self._same_known
        precision = np.where(self._together > 0, right / np.maximum(self._together, 1), 1.0)
        recall = right / max(same, 1e-9)
        f1 = 2 * right / np.maximum(self._together + same, 1e-9)
        return np.stack([precision, recall, f1])


def _quality(pairs: Joining, fitted: np.ndarray, resamples: np.ndarray, place: int) -> Quality:
    def estimate(which: int) -> Estimate:
        low, high = np.percentile(resamples[:, which, place], _TAILS)
        return Estimate(float(fitted[which, place]), float(low), float(high))

    return Quality(
        distance=float(pairs.distances[place]),
        precision=estimate(0),
        recall=estimate(1),
        f1=estimate(2),
        patterns=len(np.unique(pairs.groups[place])),
    )
