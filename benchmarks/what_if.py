"""How long `evalratchet dedup what-if` takes, by how many failures are stored.

    .venv/bin/python benchmarks/what_if.py [--texts 100000] [--distance 0.5] [--store sqlite]

Fills a store through its own writer with as many distinct texts (the worst case: every failure has
another one), whose vectors lie around groups of very different size, in three guards. Then asks what
the command asks: read the history, replay it, compare, find examples, draw the curves. Prints the
seconds of each part and of the whole, the patterns there are, and the memory of the process.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from dedup.assign import Candidate, Decided
from dedup.centroid import Centroid
from dedup.comparison import compared
from dedup.curves import curves
from dedup.events import Assignment
from dedup.geometry import Geometry
from dedup.history import History, Move
from dedup.policy import TextPolicy
from dedup.what_if import replay
from services.pattern_store import Embedded, Kept, Serving, Sum
from services.store.open import Store
from services.what_if import Asked, what_if

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = "benchmark/384"
DIMENSION = 384
CHUNK = 2000
GUARDS = ("model|", "model|refund", "input|")


def vectors(texts: int, groups: int, spread: float) -> np.ndarray:
    """Raw unit vectors (texts, 384), float32 of float16, around groups whose sizes follow Zipf."""
    rng = np.random.default_rng(1)
    middles = rng.normal(size=(groups, DIMENSION)).astype(np.float32)
    middles += rng.normal(size=DIMENSION).astype(np.float32)  # to one side, as real ones are
    often = 1 / np.arange(1, groups + 1) ** 0.8
    group = rng.choice(groups, size=texts, p=often / often.sum())
    made = middles[group]
    made += spread * rng.standard_normal(size=made.shape, dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    half: np.ndarray = made.astype(np.float16).astype(np.float32)
    return half


def history_of(raw: np.ndarray) -> History:
    """The texts as a history in which nothing was decided yet."""
    count = len(raw)
    none = np.zeros(count, dtype=np.int64)
    return History(
        fingerprints=[f"{n * 2654435761 % 2**32:08x}{n:08x}" for n in range(count)],
        guards=[GUARDS[0 if n % 10 < 7 else n % 10 % 2 + 1] for n in range(count)],
        patterns=none,
        decided=none,
        names=["p"],
        occurrences=none + 1,
        asked=none + 1,
        fixed=none > 0,
        vectors=raw,
        moves=[Move(CHUNK, Geometry(1, raw[:CHUNK].mean(axis=0)))],
    )


async def fill(store: Store, history: History, groups: np.ndarray) -> None:
    """Keep every text as decided, in steps as the deduper does."""
    await store.upgrade()
    await store.start()
    names = {int(first): f"{int(first):016x}" for first in np.unique(groups)}
    async with store.patterns.locked("p") as writer:
        await writer.serve(
            Serving(
                ordinal=1,
                space=SPACE,
                encoder="benchmark",
                text=TextPolicy(),
                by="benchmark",
                reason="",
                at=NOW,
            )
        )
    centroids: dict[str, tuple[str, Centroid]] = {}
    total = np.zeros(DIMENSION)
    for start in range(0, len(history), CHUNK):
        rows = range(start, min(start + CHUNK, len(history)))
        changed = {}
        total = total + history.vectors[start : rows.stop].sum(axis=0, dtype=np.float64)
        for row in rows:
            name = names[int(groups[row])]
            guard = history.guards[row]
            before = centroids.get(name, (guard, Centroid(np.zeros(DIMENSION, np.float32), 0)))[1]
            changed[name] = centroids[name] = (guard, before.with_one(history.vectors[row]))
        async with store.patterns.locked("p") as writer:
            await writer.keep(
                Kept(
                    space=SPACE,
                    decided=[decided(history, groups, names, row) for row in rows],
                    centroids=changed,
                    embedded=[
                        Embedded(
                            history.fingerprints[row],
                            f"text {row} of something that failed, as long as a sentence is",
                            history.vectors[row],
                        )
                        for row in rows
                    ],
                    sum=Sum(rows.stop, total),
                    geometry=history.moves[0].geometry if rows.stop == CHUNK else None,
                )
            )


def decided(history: History, groups: np.ndarray, names: dict[int, str], row: int) -> Decided:
    """The decision about one text."""
    first = int(groups[row]) == row
    one = Candidate(
        "p",
        f"e{row:08d}",
        f"t{row:08d}",
        NOW + timedelta(seconds=row),
        f"text {row}",
        history.fingerprints[row],
        guard=history.guards[row],
    )
    made = Assignment(
        pattern_id=names[int(groups[row])],
        decided_by="first" if first else "embedding",
        distance=0.0 if first else 0.3,
        fingerprint=history.fingerprints[row],
        embedding_space=SPACE,
    )
    return Decided(one, made, history.vectors[row])


class Clock:
    """Seconds on the wall and of the processors since it was looked at last."""

    def __init__(self) -> None:
        """Start now."""
        self._at = time.perf_counter(), time.process_time()

    def said(self) -> str:
        """What has passed, in words."""
        now = time.perf_counter(), time.process_time()
        wall, cpu = now[0] - self._at[0], now[1] - self._at[1]
        self._at = now
        return f"{wall:.2f} s ({cpu:.2f} s CPU)"


async def measure(store: Store, distance: float, current: float) -> None:
    """Print the parts, then the whole as the command runs it."""
    clock = Clock()
    recorded = await store.knob.history("p")
    if recorded is None:
        sys.exit("nothing was stored")
    print(f"read the history: {clock.said()}")
    after = replay(recorded.history, distance).groups
    print(f"replay: {clock.said()}")
    compared(recorded.history.patterns, after, recorded.history.asked)
    print(f"compare: {clock.said()}")
    curves(recorded.history)
    print(f"curves: {clock.said()}")
    del recorded, after
    clock = Clock()
    answer = await what_if(store.knob, "p", Asked(distance=distance), current=current)
    said = clock.said()
    if answer is None:
        sys.exit("nothing was stored")
    print(
        f"what-if: {said} for {answer.failures:,} failures, {answer.today.patterns:,} patterns "
        f"today, {answer.then.patterns:,} at {distance:g}; {answer.merging:,} made of several, "
        f"{answer.splitting:,} split"
    )
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at most")


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Fill and measure."""
    store = Store(f"sqlite:///{folder / 'store.db'}")
    history = history_of(vectors(arguments.texts, arguments.groups, arguments.spread))
    groups = replay(history, arguments.current).groups
    print(
        f"{arguments.texts:,} texts, {len(np.unique(groups)):,} patterns at {arguments.current:g}"
    )
    await fill(store, history, groups)
    del history, groups
    await measure(store, arguments.distance, arguments.current)
    await store.close()


def main() -> None:
    """Parse the options and run in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=2_000)
    parser.add_argument("--spread", type=float, default=1.0, help="1: as far apart as groups are")
    parser.add_argument("--distance", type=float, default=0.48)
    parser.add_argument("--current", type=float, default=0.5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(arguments, Path(folder)))


if __name__ == "__main__":
    main()
