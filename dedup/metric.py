"""A metric learnt from which texts are the same failure, accepted only when it helps where it was not fitted.

Within-class covariance normalisation (A. Hatch, S. Kajarekar and A. Stolcke, Within-class covariance
normalization for SVM-based speaker recognition, 2006): directions in which rewordings of one failure
differ count less. There are fewer texts than dimensions, so the covariance is shrunk towards a
multiple of the identity, as much as O. Ledoit and M. Wolf (A well-conditioned estimator for
large-dimensional covariance matrices, 2004) find best.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold

from dedup.geometry import Geometry
from dedup.joining import Joining
from dedup.labels import DRAWN, Answer, closures

NEEDED_TEXTS = 100
"""Failures that are labelled the same as another one. With 40 to 60 of them the covariance of 384
numbers is half its own shrinkage, and gains and losses of 0.03 F1 were about as frequent."""
_FOLDS = 5
_REPEATS = 2  # of the folds, dealt differently each time
_STANDARD_ERRORS = 1.0  # by which a gain has to exceed nothing


class MetricTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of fitting a metric.

    texts, groups: failures that somebody called the same as another one, and how many failures they
    are. f1_before, f1_after: mean F1 of "same" on pairs of groups that the metric was not fitted on,
    each at the bound that is best there; gain_error: the standard error of their
    difference over folds. shrinkage: 0 (none) to 1 (no metric at all). why: the verdict in words.
    """

    texts: int
    groups: int
    texts_missing: int
    accepted: bool
    why: str
    folds: int = 0
    f1_before: float | None = None
    f1_after: float | None = None
    gain_error: float | None = None
    shrinkage: float | None = None
    metric: np.ndarray | None = None
    """(d, d) float32, symmetric; None where it is not accepted."""


def fitted(vectors: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, float]:
    """The metric (d, d) float32 of vectors (n, d) and their classes (n,), and the shrinkage.

    It is the inverse root of the shrunk covariance within classes, scaled so that the mean variance
    stays as it is. Every class must have two texts.
    """
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    apart = vectors - (sums / counts[:, None])[codes]
    # the mean of a class is made of its texts: that takes one of its degrees of freedom
    apart = apart * np.sqrt(counts / (counts - 1))[codes][:, None]
    found = LedoitWolf(assume_centered=True).fit(apart)
    values, vectors_ = np.linalg.eigh(found.covariance_)
    values = np.maximum(values, 1e-9 * values.max())
    metric = (vectors_ * np.sqrt(values.mean() / values)) @ vectors_.T
    return metric.astype(np.float32), float(found.shrinkage_)


def tried(
    pairs: Joining, answers: Sequence[Answer], geometry: Geometry, *, seed: int
) -> MetricTrial:
    """Fit a metric on the answers and find out whether it helps. `pairs` are compared in `geometry`."""
    classes = _classes(pairs, answers)
    labelled = np.flatnonzero(classes >= 0)
    groups = len(np.unique(classes[labelled]))
    missing = max(0, NEEDED_TEXTS - len(labelled))
    if missing or groups < 2 * _FOLDS:
        why = (
            f"{missing} more failures have to be labelled the same as another one"
            if missing
            else f"{len(labelled)} labelled failures are only {groups} different ones"
        )
        return MetricTrial(
            texts=len(labelled), groups=groups, texts_missing=missing, accepted=False, why=why
        )
    scores = np.array(_scores(pairs, answers, classes, geometry, seed))
    if len(scores) < _FOLDS:
        why = "too few pairs of groups that could be left out to find out whether it helps"
        return MetricTrial(
            texts=len(labelled), groups=groups, texts_missing=0, accepted=False, why=why
        )
    gains = scores[:, 1] - scores[:, 0]
    # repeats deal the same answers: they make the mean steadier, not the error smaller
    error = float(gains.std(ddof=1) / np.sqrt(_FOLDS))
    gain = float(gains.mean())
    accepted = gain > _STANDARD_ERRORS * error
    raw = pairs.history.vectors - geometry.centre
    metric, shrinkage = fitted(raw[labelled], classes[labelled])
    return MetricTrial(
        texts=len(labelled),
        groups=groups,
        texts_missing=0,
        accepted=accepted,
        why=f"{gain:+.3f} F1 on groups it was not fitted on, with a standard error of {error:.3f}",
        folds=len(scores),
        f1_before=float(scores[:, 0].mean()),
        f1_after=float(scores[:, 1].mean()),
        gain_error=error,
        shrinkage=shrinkage,
        metric=metric if accepted else None,
    )


def _classes(pairs: Joining, answers: Sequence[Answer]) -> np.ndarray:
    """The class of each text that was called the same as another one, (n,) int64; -1 for others."""
    of = closures(answers)
    sizes = Counter(of[name] for name in pairs.history.fingerprints if name in of)
    return np.array(
        [
            of[name] if name in of and sizes[of[name]] > 1 else -1
            for name in pairs.history.fingerprints
        ],
        dtype=np.int64,
    )


def _scores(
    pairs: Joining,
    answers: Sequence[Answer],
    classes: np.ndarray,
    geometry: Geometry,
    seed: int,
) -> list[tuple[float, ...]]:
    """F1 without and with a metric on each fold's pairs."""
    said = [answer for answer in answers if answer.source in DRAWN]
    at = pairs.pairs(answer.pair for answer in said)
    same = np.array([answer.verdict == "same" for answer in said])[at >= 0]
    at = at[at >= 0]
    first, second = pairs.first[at], pairs.second[at]
    weights = _weights(pairs, at)
    labelled = np.flatnonzero(classes >= 0)
    raw = pairs.history.vectors - geometry.centre
    before = _distances(geometry.placed(pairs.history.vectors), first, second)
    scores: list[tuple[float, ...]] = []
    for repeat in range(_REPEATS):
        folds = GroupKFold(_FOLDS, shuffle=True, random_state=seed + repeat)
        for _, held in folds.split(labelled, groups=classes[labelled]):
            held_out = np.isin(np.arange(len(classes)), labelled[held])
            test = held_out[first] | held_out[second]
            # no text of a pair that is tested on is fitted on, nor any of its class
            seen = np.r_[classes[first[test]], classes[second[test]]]
            fit = labelled[~np.isin(classes[labelled], seen)]
            few = len(fit) < NEEDED_TEXTS // 4
            if few or _of_one_kind(same[test]):
                continue
            metric, _ = fitted(raw[fit], classes[fit])
            after = _distances(
                Geometry(0, geometry.centre, metric).placed(pairs.history.vectors), first, second
            )
            of = [distances[test] for distances in (before, after)]
            scores.append(tuple(_f1(one, same[test], weights[test]) for one in of))
    return scores


def _weights(pairs: Joining, at: np.ndarray) -> np.ndarray:
    """By each answer (a,): how many pairs of its joining distance there are for each that was asked.

    Pairs near the boundary are asked most, just because the geometry in force cannot tell them apart:
    unweighted, any other geometry would look better.
    """
    places = len(pairs.distances) + 1
    of_pairs = np.bincount(pairs.at, minlength=places)
    of_answers = np.bincount(pairs.at[at], minlength=places)
    weights: np.ndarray = of_pairs[pairs.at[at]] / of_answers[pairs.at[at]]
    weights[pairs.at[at] == len(pairs.distances)] = 0.0  # beyond reach
    return weights


def _of_one_kind(same: np.ndarray) -> bool:
    return bool(same.all() or not same.any())


def _distances(placed: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    distances: np.ndarray = 1.0 - np.einsum("ij,ij->i", placed[first], placed[second])
    return distances


def _f1(distances: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """The best weighted F1 that a bound on these distances has. All (a,).

    At its own best bound, since one found on the pairs that a metric was fitted on is too narrow: the
    metric brings just those together.
    """
    order = np.argsort(distances)
    right = (weights * same)[order].cumsum()
    return float((2 * right / np.maximum(weights[order].cumsum() + right[-1], 1e-9)).max())
