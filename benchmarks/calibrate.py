"""What answers about pairs are worth: the distance they find, its intervals, and the fitted metric.

Labels are simulated from the groups of `dedup/banking.csv`. The reference model embeds; the history
is decided, asked about and calibrated by the functions that `dedup label` and `dedup calibrate` run.

    .venv/bin/python benchmarks/calibrate.py [--data ../shared/data] [--texts 1000] [--repeats 8]
        [--vectors FILE.npy]
"""

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from dedup.calibrate import Calibration, calibrated
from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.weights import BUNDLED_MODEL
from dedup.geometry import Geometry
from dedup.history import History, Move
from dedup.joining import Joining, joining, row_of_distances
from dedup.labels import Answer, in_order, questions
from dedup.metric import fitted, tried
from dedup.what_if import replay

CURRENT = (0.3, 0.5)
COUNTS = (60, 100, 150, 300)


def history_of(vectors: np.ndarray, geometry: Geometry, distance: float) -> History:
    """Texts with these raw vectors (n, d), decided in this order at this distance."""
    n, ones = len(vectors), np.ones(len(vectors), dtype=np.int64)
    free = History(
        fingerprints=[f"{row:06d}" for row in range(n)],
        guards=["model|"] * n,
        patterns=np.arange(n),
        decided=np.arange(n),
        names=[str(row) for row in range(n)],
        occurrences=ones,
        asked=ones,
        fixed=np.zeros(n, dtype=bool),
        vectors=vectors,
        moves=[Move(0, geometry)],
    )
    today = replay(free, distance).groups
    return msgspec.structs.replace(free, patterns=today, decided=today)


def answered(
    pairs: Joining, truth: np.ndarray, current: float, count: int, seed: int
) -> list[Answer]:
    """Answers to drawn pairs, as the groups have them."""
    rng = np.random.default_rng(seed)
    names = pairs.history.fingerprints
    answers = []
    for one in questions(pairs, [], around=current, count=count, rng=rng):
        first, second = in_order(names[one.first], names[one.second])
        same = truth[one.first] == truth[one.second]
        answers.append(Answer(first=first, second=second, verdict="same" if same else "different"))
    return answers


def figures(pairs: Joining, truth: np.ndarray) -> np.ndarray:
    """Precision, recall within reach, and F1 over all pairs, at each distance, (k, 3)."""
    same = truth[pairs.first] == truth[pairs.second]
    near = same & (pairs.at < len(pairs.distances))
    rows = []
    for place in range(len(pairs.distances)):
        together = pairs.together(place)
        right = (together & same).sum()
        f1 = 2 * right / max(1, together.sum() + same.sum())
        rows.append((right / max(1, together.sum()), right / max(1, near.sum()), f1))
    return np.array(rows)


def distances(pairs: Joining, truth: np.ndarray, current: float, repeats: int) -> None:
    """Print what the proposed distance is worth, by the number of answers."""
    true = figures(pairs, truth)
    best = int(true[:, 2].argmax())
    same = truth[pairs.first] == truth[pairs.second]
    beyond = pairs.at == len(pairs.distances)
    now = pairs.place(current)
    print(
        f"in force {current:g}: F1 {true[now, 2]:.3f}; best {pairs.distances[best]:g}: F1 "
        f"{true[best, 2]:.3f}; same pairs beyond reach {(same & beyond).sum() / same.sum():.0%}, "
        f"1 in {1 / max(1e-9, same[beyond].mean()):.0f} there"
    )
    print("answers  refused  proposed   sd     F1  worst  intervals with the truth, width (P, R)")
    for count in COUNTS:
        found, inside, width, refused = [], [], [], 0
        for seed in range(repeats):
            answers = answered(pairs, truth, current, count, seed)
            rng = np.random.default_rng(seed)
            fit = calibrated(pairs, answers, current=current, rng=rng)
            if not isinstance(fit, Calibration):
                refused += 1
                continue
            found.append((fit.proposed.distance, true[pairs.place(fit.proposed.distance), 2]))
            for estimate, value in (
                (fit.current.precision, true[now, 0]),
                (fit.current.recall, true[now, 1]),
            ):
                inside.append(estimate.low <= value <= estimate.high)
                width.append(estimate.high - estimate.low)
        if not found:
            print(f"{count:7}  {refused:7}")
            continue
        at = np.array(found)
        print(
            f"{count:7}  {refused:7}  {at[:, 0].mean():8.3f}  {at[:, 0].std():.3f}  "
            f"{at[:, 1].mean():.3f}  {at[:, 1].min():.3f}  {np.mean(inside):.0%}, "
            f"{np.mean(width[::2]):.2f} {np.mean(width[1::2]):.2f}"
        )


def metric(vectors: np.ndarray, truth: np.ndarray, geometry: Geometry, repeats: int) -> None:
    """Print what a metric does for groups that were never labelled, and what cross-validation said."""
    print("\nmetric: F1 (precision) on groups never labelled, each at its best distance")
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        groups = rng.permutation(np.unique(truth))
        known = np.isin(truth, groups[: len(groups) // 2])
        labelled = rng.permutation(np.flatnonzero(known))[:700]
        pairs = joining(
            history_of(vectors[labelled], geometry, 0.5), row_of_distances(0.5), geometry
        )
        answers = answered(pairs, truth[labelled], 0.5, 300, seed)
        trial = tried(pairs, answers, geometry, seed=seed)
        same = [one for one in answers if one.verdict == "same"]
        rows = {int(name) for one in same for name in one.pair}
        chosen = labelled[sorted(rows)]
        _, codes, counts = np.unique(truth[chosen], return_inverse=True, return_counts=True)
        kept = chosen[counts[codes] > 1]
        learnt, _ = fitted(vectors[kept] - geometry.centre, truth[kept])
        never = rng.permutation(np.flatnonzero(~known))[:700]
        shown = []
        for one in (geometry, Geometry(geometry.number + 1, geometry.centre, learnt)):
            found = joining(history_of(vectors[never], one, 0.5), row_of_distances(0.55), one)
            true = figures(found, truth[never])
            shown.append(true[true[:, 2].argmax()])
        print(
            f"  {len(kept)} labelled: {shown[0][2]:.3f} ({shown[0][0]:.2f}) without, "
            f"{shown[1][2]:.3f} ({shown[1][0]:.2f}) with; "
            f"{'accepted' if trial.accepted else 'refused'}: {trial.why}"
        )


def embedded(texts: Sequence[str]) -> np.ndarray:
    """Raw unit vectors (n, d) float32 of the bundled reference model."""
    model = ReferenceEncoder(BUNDLED_MODEL, threads=2)
    return model.encode(texts)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--vectors", type=Path, help="raw vectors of all rows, made before")
    asked = parser.parse_args()
    with (asked.data / "dedup/banking.csv").open() as file:
        rows = list(csv.DictReader(file))
    raw = (
        embedded([row["text"] for row in rows]) if asked.vectors is None else np.load(asked.vectors)
    )
    raw = raw.astype(np.float32)
    _, truth = np.unique([row["group"] for row in rows], return_inverse=True)
    geometry = Geometry(1, raw.mean(axis=0))
    chosen = np.random.default_rng(1).permutation(len(raw))[: asked.texts]
    for current in CURRENT:
        began = time.process_time()
        history = history_of(raw[chosen], geometry, current)
        pairs = joining(history, row_of_distances(current), geometry)
        print(f"\n{len(chosen)} texts, {time.process_time() - began:.1f} s CPU to replay them all")
        distances(pairs, truth[chosen], current, asked.repeats)
    metric(raw, truth, geometry, max(1, asked.repeats // 2))


if __name__ == "__main__":
    main()
