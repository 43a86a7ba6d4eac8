"""What it costs to find the nearest pattern and to decide, by number of patterns.

    .venv/bin/python benchmarks/index.py [--patterns 10000 100000 1000000] [--data ../shared/data]

Patterns are made around the centred vectors of real sentences, with the correlations that real ones
have: half of a vector is a sentence, half is drawn with the covariance of all. A failure is a pattern's
place moved as two sentences of one intent differ, to a distance of 0.02 to 0.45; half of the failures are
new, drawn like patterns. Without the data, sentences are drawn too, with fewer dimensions than real ones.
Memory is that of the process, less what it had before; --vectors FILE.npy keeps the embedded sentences.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import psutil

from dedup.assign import Candidate, assign
from dedup.centroid import Centroid
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.geometry import Geometry
from dedup.index import Index, Row
from dedup.policy import DEFAULT_BAND, DEFAULT_DISTANCE
from services.index_files import IndexFiles

_DIMENSION = 384
_CHUNK = 10_000
_NEAREST = 8  # what the deduper asks for
_GUARD = "model|"


class Real(msgspec.Struct):
    """Centred unit vectors (n, d), and differences (m, d) between two of one group, unit."""

    rows: np.ndarray
    moves: np.ndarray
    spread: np.ndarray  # (d, d): what turns white noise into vectors that lie like the rows


def real(data: Path, kept: Path | None) -> Real:
    """What patterns and failures are made of."""
    rng = np.random.default_rng(1)
    source = data / "dedup/banking.csv"
    if source.exists():
        with source.open() as file:
            table = list(csv.DictReader(file))
        rows = _embedded([line["text"] for line in table], kept)
        groups = np.array([line["group"] for line in table])
    else:
        rows = rng.standard_normal((5_000, 80)).astype(np.float32) @ rng.standard_normal(
            (80, _DIMENSION)
        ).astype(np.float32)
        groups = np.zeros(len(rows))
    rows = _unit(rows - rows.mean(axis=0))
    order = np.argsort(groups, kind="stable")
    same = groups[order][1:] == groups[order][:-1]
    moves = _unit((rows[order][1:] - rows[order][:-1])[same])
    values, directions = np.linalg.eigh(np.cov(rows.T))
    spread = (directions * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    return Real(rows, moves, spread)


def patterns(of: Real, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Placed centroids, unit (n, d), in pieces."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        drawn = _unit(rng.standard_normal((size, _DIMENSION), dtype=np.float32) @ of.spread.T)
        yield _unit(of.rows[rng.integers(0, len(of.rows), size)] + drawn)


def failures(of: Real, count: int, size: int) -> np.ndarray:
    """Placed vectors (count, d): the first half rewordings of `size` patterns, the others new."""
    rng = np.random.default_rng(7)
    wanted = np.sort(rng.choice(size, count // 2, replace=False))
    known = []
    for start, piece in enumerate(patterns(of, size)):
        known.append(piece[wanted[(wanted // _CHUNK) == start] % _CHUNK])
    places = np.concatenate(known)
    near = rng.uniform(0.55, 0.98, (len(places), 1)).astype(np.float32)
    moves = of.moves[rng.integers(0, len(of.moves), len(places))]
    moves = _unit(moves - (moves * places).sum(axis=1, keepdims=True) * places)
    reworded = near * places + np.sqrt(1 - near**2) * moves
    new = np.concatenate(list(patterns(of, count - len(places), seed=99)))
    return np.concatenate([_unit(reworded), new])


def exact(of: Real, size: int, asked: np.ndarray) -> np.ndarray:
    """The true nearest (count, _NEAREST) numbers of patterns."""
    best = np.full((len(asked), _NEAREST), -np.inf, dtype=np.float32)
    numbers = np.zeros((len(asked), _NEAREST), dtype=np.int64)
    for start, piece in enumerate(patterns(of, size)):
        similar = np.concatenate([best, asked @ piece.T], axis=1)
        places = np.arange(start * _CHUNK, start * _CHUNK + len(piece))
        known = np.concatenate([numbers, np.broadcast_to(places, (len(asked), len(piece)))], axis=1)
        order = np.argpartition(-similar, _NEAREST, axis=1)[:, :_NEAREST]
        best = np.take_along_axis(similar, order, axis=1)
        numbers = np.take_along_axis(known, order, axis=1)
    order = np.argsort(-best, axis=1)
    return np.take_along_axis(numbers, order, axis=1)


def filled(of: Real, size: int) -> tuple[Index, float, float]:
    """The index, seconds to fill it, and seconds of these to train lists."""
    index, began, trained = Index(_DIMENSION, 1), time.perf_counter(), 0.0
    seq = 0
    for piece in patterns(of, size):
        index.put_many(
            [Row(seq + n + 1, f"{seq + n:016x}", _GUARD, row) for n, row in enumerate(piece)]
        )
        seq += len(piece)
        if index.overdue():
            now = time.perf_counter()
            index.train()
            trained += time.perf_counter() - now
    return index, time.perf_counter() - began, trained


def decide(index: Index, asked: np.ndarray, number: int, geometry: Geometry) -> float:
    """One failure: search and decision, as under the lock; seconds. The store's part is not in it."""
    vector = asked[number]
    one = Candidate(
        "bench",
        f"e{number}",
        f"t{number}",
        datetime(2026, 1, 1, tzinfo=UTC),
        "text",
        f"f{number}",
        guard=_GUARD,
    )
    exact_ones = {}
    began = time.perf_counter()
    near = [n.pattern_id for n in index.search(vector[None], [_GUARD], _NEAREST)[0]]
    took = time.perf_counter() - began
    for pattern_id in near:  # the store would give them
        exact_ones[pattern_id] = (_GUARD, Centroid(_PLACES[pattern_id], 1))
    began = time.perf_counter()
    assign(
        [one],
        known={},
        vectors={one.fingerprint: vector},
        near={one.fingerprint: near},
        centroids=exact_ones,
        geometry=geometry,
        distance=DEFAULT_DISTANCE,
        band=DEFAULT_BAND,
        space="bench",
    )
    return took + time.perf_counter() - began


_PLACES: dict[str, np.ndarray] = {}


def measure(of: Real, size: int, count: int, folder: Path) -> None:
    """Print all figures for one number of patterns."""
    asked = failures(of, count, size)
    truth = exact(of, size, asked)
    before = psutil.Process().memory_info().rss
    index, seconds, trained = filled(of, size)
    took_memory = psutil.Process().memory_info().rss - before
    files = IndexFiles(folder)
    began = time.perf_counter()
    files.save("bench", "space", index)
    saved = time.perf_counter() - began
    on_disk = files.path("bench", "space").stat().st_size
    del index
    began = time.perf_counter()
    loaded = files.load("bench", "space")
    if loaded is None:
        message = "the index that was saved cannot be loaded"
        raise RuntimeError(message)
    loaded.search(asked[:1], [_GUARD], _NEAREST)
    first = time.perf_counter() - began
    times, found, busy = [], [], time.process_time()
    for row in asked:
        began = time.perf_counter()
        near = loaded.search(row[None], [_GUARD], _NEAREST)[0]
        times.append(time.perf_counter() - began)
        found.append([int(one.pattern_id, 16) for one in near])
    busy = (time.process_time() - busy) / count * 1e3
    needed = sorted({number for near in found for number in near})
    _remember(of, size, needed)
    geometry = Geometry(1, np.zeros(_DIMENSION, dtype=np.float32))
    whole = [decide(loaded, asked, number, geometry) for number in range(count)]
    known, new = slice(0, count // 2), slice(count // 2, count)
    hits = np.array([best[0] in near for best, near in zip(truth, found, strict=True)])
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    both = np.percentile(whole, [50, 99]) * 1e3
    print(
        f"{size:>9,} | {p50:6.3f} {p99:6.3f} {busy:6.3f} | {hits[known].mean():.4f} {hits[new].mean():.4f} | "
        f"{both[0]:6.3f} {both[1]:6.3f} | {loaded.memory_bytes / size:5.0f} {took_memory / size:6.0f} "
        f"{on_disk / size:5.0f} | {seconds:6.1f} {trained:6.1f} | {saved:5.2f} {first:5.2f}",
        flush=True,
    )


def _remember(of: Real, size: int, needed: list[int]) -> None:
    """The exact centroids that the store would be asked for."""
    _PLACES.clear()
    wanted = np.array(needed)
    for start, piece in enumerate(patterns(of, size)):
        for number in wanted[(wanted // _CHUNK) == start].tolist():
            _PLACES[f"{number:016x}"] = piece[number % _CHUNK].copy()


def _embedded(texts: list[str], kept: Path | None) -> np.ndarray:
    if kept is not None and kept.exists():
        vectors: np.ndarray = np.load(kept)
        return vectors
    encoder = load_encoder(
        EncoderSpec("all-MiniLM-L6-v2", "sentence-transformers"), models=Path(), threads=2
    )
    vectors = np.asarray(encoder.encode(texts), dtype=np.float32)
    if kept is not None:
        np.save(kept, vectors)
    return vectors


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patterns", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--failures", type=int, default=1_000)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path)
    given = parser.parse_args()
    of = real(given.data, given.vectors)
    print("ms: p50, p99, mean of CPU time; recall: the true nearest is among the candidates")
    print(
        " patterns |       search         |    recall     |   decision    |    bytes a pattern  |    "
        "seconds    |   seconds"
    )
    print(
        "          |   p50    p99    CPU  | known    new  |   p50    p99  | told  taken on disk |   "
        "fill  train  |  save  load"
    )
    for size in given.patterns:
        with tempfile.TemporaryDirectory() as folder:
            measure(of, size, given.failures, Path(folder))


if __name__ == "__main__":
    main()
