"""How well failures are grouped, end to end through the dedup stage, beside its peers.

    .venv/bin/python benchmarks/grouping.py                                          # ours alone
    .venv/bin/python benchmarks/grouping.py --peers ~/.cache/evalratchet-peers       # and the peers

First the labelled sentences in five shuffled orders, through the real deduper on a store in a temporary
folder with default settings. Then peers over the same vectors: a leader on raw cosine, scikit-learn's
HDBSCAN, and, installed by `uv` below the folder that `--peers` names (any folder outside the repository;
made where it is not there, 6 GB, used again the next time), SemHash and BERTopic. Then what each distance
does on this and on other data: the default distance and the default grey band come from here. At the end
a table of what was to be reached. The data is not part of the repository; `--data` says where it is.
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from labelled import (
    HEADING,
    PARTS,
    Embedded,
    Labelled,
    Scores,
    held_out,
    judged,
    line,
    scores,
    sentences,
    sessions,
    shuffled,
)
from other_groupings import TUNED, installed_peers, own_peers
from staged import KnownVectors, decided, staged

from dedup.assign import candidate
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.policy import DEFAULT_BAND, DEFAULT_DISTANCE
from services.settings import Settings

_DISTANCES = (0.35, 0.40, 0.45, 0.50, 0.54, 0.58, 0.60, 0.62, 0.66, 0.70)
_LARGE = 2000  # failures, of which each order takes long


class Swept(msgspec.Struct, frozen=True):
    """F1 of one set at the default distance and at the one that is best there."""

    default: float
    best: float
    at: float


def mean(of: Sequence[Scores]) -> Scores:
    """The mean of each figure."""
    return Scores(*np.mean([msgspec.structs.astuple(one) for one in of], axis=0).tolist())


def stage(data: Labelled, embedded: Embedded, orders: int) -> list[Scores]:
    """The real stage on shuffled orders."""
    embedded.add([candidate(failure).text for failure in data.failures])
    embedder = KnownVectors(embedded.encoder.identity, embedded.by_text)
    made: list[Scores] = []
    for seed in range(orders):
        order = shuffled(len(data.failures), seed)
        found = asyncio.run(staged(embedder, [data.failures[n] for n in order]))
        made.append(scores(found, [data.groups[n] for n in order]))
    print(line(f"evalratchet, default settings, {orders} orders", made), flush=True)
    return made


def at_distance(data: Labelled, embedded: Embedded, orders: int, distance: float) -> list[Scores]:
    """The stage's pure functions at one distance."""
    candidates = [candidate(failure) for failure in data.failures]
    embedded.add([one.text for one in candidates])
    vectors = {one.fingerprint: embedded.by_text[one.text] for one in reversed(candidates)}
    made: list[Scores] = []
    for seed in range(orders):
        order = shuffled(len(candidates), seed)
        found = decided([candidates[n] for n in order], vectors, distance)
        made.append(scores([one.pattern_id for one in found], [data.groups[n] for n in order]))
    return made


def sweep(data: Labelled, embedded: Embedded, orders: int) -> Swept:
    """Every distance on one set, and how near the default comes to the best."""
    print(f"\n{data.name}: {len(data.failures)} failures, {len(set(data.groups))} groups")
    print(HEADING)
    rows = {d: at_distance(data, embedded, orders, d) for d in _DISTANCES}
    f1 = {distance: float(np.mean([one.f1 for one in made])) for distance, made in rows.items()}
    best = max(f1.values())
    for distance, made in rows.items():
        mark = "  <- default" if distance == DEFAULT_DISTANCE else ""
        mark += "  <- best" if f1[distance] == best else ""
        print(line(f"distance {distance:.2f}", made, mark), flush=True)
    print(f"the default has {f1[DEFAULT_DISTANCE] / best:.1%} of the best")
    return Swept(f1[DEFAULT_DISTANCE], best, max(f1, key=lambda distance: f1[distance]))


def bands(data: Labelled, embedded: Embedded) -> None:
    """Of joins by embedding, how many are doubtful at each band, and how many of them are wrong."""
    candidates = [candidate(failure) for failure in data.failures]
    embedded.add([one.text for one in candidates])
    vectors = {one.fingerprint: embedded.by_text[one.text] for one in reversed(candidates)}
    order = shuffled(len(candidates), 0)
    print(f"\n{data.name}: joins within the grey band, one order")
    for band in (0.02, 0.05, 0.10, 0.15):
        found = decided([candidates[n] for n in order], vectors, DEFAULT_DISTANCE, band=band)
        seen: dict[str, dict[str, int]] = {}
        wrong = {True: [0, 0], False: [0, 0]}
        for one, group in zip(found, (data.groups[n] for n in order), strict=True):
            counts = seen.setdefault(one.pattern_id, {})
            if counts:
                wrong[one.grey][0] += max(counts, key=lambda key: counts[key]) != group
                wrong[one.grey][1] += 1
            counts[group] = counts.get(group, 0) + 1
        grey, clear = ([n, max(1, total)] for n, total in (wrong[True], wrong[False]))
        mark = "  <- default" if band == DEFAULT_BAND else ""
        print(
            f"band {band:.2f}: {grey[1] / (grey[1] + clear[1]):6.1%} of joins are grey, "
            f"{grey[0] / grey[1]:6.1%} of them wrong, {clear[0] / clear[1]:6.1%} of the others{mark}"
        )


def default_row(data: Labelled, embedded: Embedded, orders: int) -> Scores:
    """One set at the default distance: printed, and the mean over orders."""
    made = at_distance(data, embedded, orders, DEFAULT_DISTANCE)
    print(line(data.name, made), flush=True)
    return mean(made)


def one_group(data: Labelled, embedded: Embedded) -> None:
    """Patterns that the first 30, and all, failures of one group become where there are no others."""
    few: list[int] = []
    many: list[int] = []
    for group in sorted(set(data.groups))[::4]:
        rows = [n for n, name in enumerate(data.groups) if name == group]
        candidates = [candidate(data.failures[rows[n]]) for n in shuffled(len(rows), 0)]
        embedded.add([one.text for one in candidates])
        vectors = {one.fingerprint: embedded.by_text[one.text] for one in reversed(candidates)}
        found = [one.pattern_id for one in decided(candidates, vectors, DEFAULT_DISTANCE)]
        few.append(len(set(found[:30])))
        many.append(len(set(found)))
    print(
        f"one group alone, mean of {len(few)}: its first 30 failures are {np.mean(few):.1f} patterns, "
        f"all of them (about {len(data.groups) // len(set(data.groups))}) {np.mean(many):.1f}"
    )


def verdict(name: str, found: str, reach: str, *, met: bool) -> None:
    """One row of the table at the end."""
    print(f"{name:58} {found:>32}   {reach:24} {'yes' if met else 'no'}")


def table(
    own: Sequence[Scores], peers: Mapping[str, Scores], sets: Mapping[str, Swept], by_goal: str
) -> None:
    """What was to be reached, and whether it was."""
    f1, spread = mean(own).f1, float(np.std([one.f1 for one in own]))
    print(f"\n{'':58} {'found':>32}   {'to reach':24} reached")
    for kind, of in (
        ("best peer as it comes", {n: p for n, p in peers.items() if not n.startswith(TUNED)}),
        ("best peer", peers),
    ):
        best = max(of, key=lambda name: of[name].f1)
        found = f"{f1:.3f} and {of[best].f1:.3f}"
        verdict(f"F1, and of the {kind}", found, "more than the peer", met=f1 > of[best].f1)
        print(f"  ({best})")
    verdict("standard deviation of F1 over orders", f"{spread:.3f}", "< 0.02", met=spread < 0.02)
    coverage, bloat = mean(own).coverage, mean(own).bloat
    verdict("coverage", f"{coverage:.3f}", ">= 0.97", met=coverage >= 0.97)
    verdict("bloat", f"{bloat:.2f}", "< 4", met=bloat < 4)
    for name, one in sets.items():
        found = f"{one.default:.3f} of {one.best:.3f} at {one.at:.2f}"
        share = one.default / one.best
        verdict(f"share of own best, {name}", f"{share:.1%}: {found}", ">= 95 %", met=share >= 0.95)
    print(f"F1 of airline sessions by goal: {by_goal}")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--backend", default="auto", help="onnx, sentence-transformers or auto")
    parser.add_argument("--models", type=Path, help="where compiled models are")
    parser.add_argument("--peers", type=Path, help="where SemHash and BERTopic are installed")
    parser.add_argument("--no-sweep", action="store_true", help="only the default distance")
    chosen = parser.parse_args()
    settings = Settings()
    spec = EncoderSpec(model=settings.embedding_model, backend=chosen.backend)
    models = chosen.models or settings.models or settings.home / "models"
    embedded = Embedded(load_encoder(spec, models=models, threads=2))
    banking = sentences(chosen.data)
    print(f"{embedded.encoder.identity}, distance {DEFAULT_DISTANCE}\n\n{banking.name}\n{HEADING}")
    own = stage(banking, embedded, chosen.orders)
    peers = own_peers(banking, embedded, whole=chosen.peers is not None)
    if chosen.peers is not None:
        peers |= installed_peers(banking, embedded, chosen.peers)
    print(f"\nairline sessions that failed, by goal, distance {DEFAULT_DISTANCE}\n{HEADING}")
    goals = {
        part: default_row(sessions(chosen.data, "airline", part), embedded, chosen.orders)
        for part in PARTS
    }
    by_goal = ", ".join(f"{part} {one.f1:.3f}" for part, one in goals.items())
    one_group(banking, embedded)
    swept: dict[str, Swept] = {}
    if not chosen.no_sweep:
        others = [sessions(chosen.data, name, "failure text") for name in ("airline", "rag")]
        for data in (banking, *others, *held_out(banking), *judged(chosen.data)):
            orders = 1 if data is banking else 2 if len(data.failures) > _LARGE else 5
            swept[data.name] = sweep(data, embedded, min(orders, chosen.orders))
        bands(banking, embedded)
    table(own, peers, swept, by_goal)


if __name__ == "__main__":
    main()
