"""From a project's history and what people said of it: pairs to ask about, and the distance that fits."""

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.calibrate import Calibration, NotEnough, calibrated, too_few
from dedup.geometry import Geometry
from dedup.joining import Joining, geometry_in_force, joining, row_of_distances, sampled
from dedup.labels import Answer, questions
from dedup.metric import MetricTrial, tried
from services.knob import KnobReader, Recorded
from services.labelling import PairLabels

_SEED = 20_261  # of resamples and folds: the same answers give the same figures


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two failure texts to ask about.

    `distance`: the dedup distance from which on they are one pattern; `together`: whether they are now.
    """

    first: str
    second: str
    distance: float | None
    together: bool
    first_pattern: str
    second_pattern: str
    guard: str
    first_text: str
    second_text: str


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration found.

    with_metric: the distance to go with the fitted metric, where that was accepted; it has as many
    pairs together as the proposed one without. geometry: the next one, with the metric.
    """

    project: str
    space: str
    answers: int
    fit: Calibration | NotEnough
    metric: MetricTrial | None
    with_metric: float | None
    geometry: Geometry | None


async def pairs_to_ask(
    reader: KnobReader,
    labels: PairLabels,
    project: str,
    *,
    around: float,
    count: int,
    seed: int | None = None,
) -> Sequence[Pair] | None:
    """Pairs whose answers tell most; None while the project has no vectors. Raises `Unavailable`.

    Without a `seed` it is the number of answers, so that what was skipped does not come first again.
    """
    recorded = await reader.history(project)
    if recorded is None or not len(recorded.history):
        return None
    answers = [label.answer for label in await labels.every(project)]
    seed = len(answers) if seed is None else seed
    pairs = await asyncio.to_thread(_joined, recorded, answers, around)
    rng = np.random.default_rng(seed)
    drawn = questions(pairs, answers, around=around, count=count, rng=rng)
    history = pairs.history
    named = sorted({history.fingerprints[row] for one in drawn for row in (one.first, one.second)})
    texts = await reader.texts(project, recorded.space, named)
    names, codes = history.names, history.patterns

    def pair(first: int, second: int, distance: float | None) -> Pair:
        one, other = sorted((first, second), key=lambda row: history.fingerprints[row])
        return Pair(
            first=history.fingerprints[one],
            second=history.fingerprints[other],
            distance=distance,
            together=bool(codes[one] == codes[other]),
            first_pattern=names[int(codes[one])],
            second_pattern=names[int(codes[other])],
            guard=history.guards[one],
            first_text=texts.get(history.fingerprints[one], ""),
            second_text=texts.get(history.fingerprints[other], ""),
        )

    return [pair(one.first, one.second, one.distance) for one in drawn]


async def findings(
    reader: KnobReader, labels: PairLabels, project: str, *, current: float
) -> Findings | None:
    """Fit distance and metric; None while the project has no vectors. Raises `Unavailable`."""
    recorded = await reader.history(project)
    if recorded is None or not len(recorded.history):
        return None
    answers = [label.answer for label in await labels.every(project)]
    return await asyncio.to_thread(_found, recorded, answers, current)


def _joined(recorded: Recorded, answers: Sequence[Answer], around: float) -> Joining:
    named = [fingerprint for answer in answers for fingerprint in answer.pair]
    history = sampled(recorded.history, named)
    geometry = geometry_in_force(recorded.history)
    return joining(history, row_of_distances(around), geometry)


def _found(recorded: Recorded, answers: Sequence[Answer], current: float) -> Findings:
    few = too_few(answers)
    if few is not None:
        return _nothing(recorded, answers, few)
    pairs = _joined(recorded, answers, current)
    fit = calibrated(pairs, answers, current=current, rng=np.random.default_rng(_SEED))
    if isinstance(fit, NotEnough):
        return _nothing(recorded, answers, fit)
    before = geometry_in_force(recorded.history)
    trial = tried(pairs, answers, before, seed=_SEED)
    distance, geometry = None, None
    if trial.metric is not None:
        geometry = Geometry(before.number + 1, before.centre, trial.metric)
        distance = _as_many_together(pairs, geometry, fit.proposed.distance)
    return Findings(
        project=recorded.project,
        space=recorded.space,
        answers=len(answers),
        fit=fit,
        metric=trial,
        with_metric=distance,
        geometry=geometry,
    )


def _as_many_together(pairs: Joining, geometry: Geometry, distance: float) -> float:
    """The distance at which another geometry has as many pairs together as this one at `distance`.

    Not fitted on the answers once more: a metric brings the very pairs together that it was fitted on.
    """
    wanted = int(pairs.together(pairs.place(distance)).sum())
    other = joining(pairs.history, pairs.distances.tolist(), geometry)
    counts = [int(other.together(place).sum()) for place in range(len(other.distances))]
    nearest = min(range(len(counts)), key=lambda place: abs(counts[place] - wanted))
    return float(other.distances[nearest])


def _nothing(recorded: Recorded, answers: Sequence[Answer], few: NotEnough) -> Findings:
    return Findings(
        project=recorded.project,
        space=recorded.space,
        answers=len(answers),
        fit=few,
        metric=None,
        with_metric=None,
        geometry=None,
    )
