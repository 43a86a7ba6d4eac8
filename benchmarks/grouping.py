"""How well the dedup stage groups, by distance, on labelled data: pairwise precision, recall and F1.

Runs the real stage functions (`candidate`, the bundled model, `assign`) over the sample data in
shuffled orders. This is where the default dedup distance comes from.

    .venv/bin/python benchmarks/grouping.py [--data ../shared/data] [--orders 3] [--rows 2500]
"""

import argparse
import csv
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from capture.events import Failure
from capture.trace import Trace
from dedup.assign import Candidate, assign, candidate
from dedup.embedding import BUNDLED_MODEL, load_model
from dedup.index import Index
from dedup.policy import DEFAULT_DISTANCE

DISTANCES = (0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50)


def pairs(labels: Iterable[Hashable]) -> int:
    """How many pairs have the same label."""
    return sum(count * (count - 1) // 2 for count in Counter(labels).values())


def pairwise(found: Sequence[str], truth: Sequence[str]) -> tuple[float, float, float]:
    """F1, precision and recall over pairs of items that are put together."""
    both = pairs(zip(found, truth, strict=True))
    precision, recall = both / max(1, pairs(found)), both / max(1, pairs(truth))
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def failure(trace: Trace) -> Failure:
    """The trace as a failure."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Failure(event_id=trace.trace_id, trace=trace, signals=(), severity="high", failed_at=now)


def sessions(data: Path, name: str, *, failing: bool) -> tuple[list[Candidate], list[str]]:
    """Candidates and groups of one file of recorded traces."""
    with (data / f"traces/{name}.groups.csv").open() as file:
        groups = {row["trace_id"]: row["group"] for row in csv.DictReader(file)}
    lines = (data / f"traces/{name}.jsonl").read_bytes().splitlines()
    traces = [msgspec.json.decode(line, type=Trace) for line in lines]
    kept = [t for t in traces if not failing or t.signals[0].value == 0]
    return [candidate(failure(t)) for t in kept], [groups[t.trace_id] for t in kept]


def sentences(data: Path, rows: int) -> tuple[list[Candidate], list[str]]:
    """Candidates and intents of the single sentences."""
    with (data / "dedup/banking.csv").open() as file:
        table = list(csv.DictReader(file))
    table = random.Random(1).sample(table, min(rows, len(table)))
    traces = [
        Trace(trace_id=str(n), project="banking", input=row["text"]) for n, row in enumerate(table)
    ]
    return [candidate(failure(t)) for t in traces], [row["group"] for row in table]


def report(name: str, candidates: list[Candidate], groups: list[str], orders: int) -> None:
    """Print one line a distance: mean over shuffled orders."""
    vectors = load_model(BUNDLED_MODEL, threads=2).encode([one.text for one in candidates])
    by_print = {one.fingerprint: row for one, row in zip(candidates, vectors, strict=True)}
    truth = dict(zip((one.event_id for one in candidates), groups, strict=True))
    print(f"\n{name}: {len(candidates)} failures, {len(set(groups))} groups, {orders} orders")
    print("distance     F1  precision  recall  patterns per group")
    for distance in DISTANCES:
        scores: list[tuple[float, ...]] = []
        for seed in range(orders):
            order = random.Random(seed).sample(candidates, len(candidates))
            decided = assign(
                order, known={}, vectors=by_print, index=Index(), distance=distance, space="bench"
            )
            found = [one.assignment.pattern_id for one in decided]
            labels = [truth[one.candidate.event_id] for one in decided]
            scores.append((*pairwise(found, labels), len(set(found)) / len(set(groups))))
        f1, precision, recall, bloat = np.mean(scores, axis=0)
        mark = "  <- default" if distance == DEFAULT_DISTANCE else ""
        print(f"{distance:8.2f} {f1:6.3f} {precision:10.3f} {recall:7.3f} {bloat:10.1f}{mark}")


def main() -> None:
    """Measure all three data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2500)
    chosen = parser.parse_args()
    report("banking sentences", *sentences(chosen.data, chosen.rows), chosen.orders)
    for name, failing in (("airline", True), ("rag", False)):
        report(f"{name} sessions", *sessions(chosen.data, name, failing=failing), chosen.orders)


if __name__ == "__main__":
    main()
