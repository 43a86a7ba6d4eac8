"""What a refit of the modes costs: seconds and the peak memory of its process.

    .venv/bin/python benchmarks/modes.py [--patterns 20000 200000] [--data ../shared/data]

Patterns are made as in `benchmarks/index.py`, but around 300 sentences, so that there are modes. The
refit runs where it always runs, in its own process: the graph of neighbours, the clusters, the ids of the
modes before, and proposals; loading libraries is in `start+` alone. Reading the centroids from the
store and keeping the result are not in it. A second refit over nine tenths of the patterns shows how
many modes keep their ids.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np
from index import Real, patterns, real

from services.modes_worker import Asked, Found, refit, terms
from services.worker import WorkerProcess

_PLACES = 300


async def measure(of: Real, size: int, folder: Path) -> None:
    """Print the figures for one number of patterns."""
    few = Real(of.rows[:: len(of.rows) // _PLACES], of.moves, of.spread)
    placed = np.concatenate(list(patterns(few, size)))
    ids = [f"{number:016x}" for number in range(size)]
    first, seconds = await run(placed, ids, {}, folder)
    words = [["a refund that has not come"] * 40 for _ in first.lineage.ids]
    worker = WorkerProcess(niceness=0)
    began = time.perf_counter()
    await asyncio.wrap_future(worker.submit(terms, words))
    named = time.perf_counter() - began
    await worker.close()
    before = {
        one: first.lineage.ids[label]
        for one, label in zip(ids, first.labels.tolist(), strict=True)
        if label >= 0
    }
    kept = np.sort(np.random.default_rng(3).permutation(size)[: size * 9 // 10])
    again, _ = await run(placed[kept], [ids[row] for row in kept], before, folder)
    alive = again.lineage.kept / max(1, len(again.lineage.ids))
    print(
        f"{size:>8,} | {first.cpu_seconds:6.2f} {first.seconds:6.2f} {seconds:6.2f} {named:6.2f} | "
        f"{first.peak_bytes / 1e6:6.0f} | {len(first.lineage.ids):6} "
        f"{(first.labels < 0).mean():6.2f} | {alive:6.2f}",
        flush=True,
    )


async def run(
    placed: np.ndarray, ids: list[str], before: dict[str, str], folder: Path
) -> tuple[Found, float]:
    """One refit in a process of its own; seconds with the process's start."""
    path = folder / "rows.npy"
    np.save(path, placed)
    worker = WorkerProcess(niceness=0)
    asked = Asked(
        project="bench",
        refit=1 + bool(before),
        rows=path,
        pattern_ids=ids,
        guards=["model|"] * len(ids),
        occurrences=[1] * len(ids),
        before=before,
        refused=[],
        distance=0.3,
    )
    began = time.perf_counter()
    found = await asyncio.wrap_future(worker.submit(refit, asked))
    seconds = time.perf_counter() - began
    await worker.close()
    return found, seconds


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patterns", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path)
    given = parser.parse_args()
    of = real(given.data, given.vectors)
    print(
        "patterns |    CPU  refit start+  names | peak MB | modes  in none | ids kept (seconds; shares)"
    )
    for size in given.patterns:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(of, size, Path(folder)))


if __name__ == "__main__":
    main()
