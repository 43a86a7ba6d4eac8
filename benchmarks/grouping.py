"""How well failures are grouped, end to end through the dedup stage, beside its peers.

    .venv/bin/python benchmarks/grouping.py                                          # ours alone
    .venv/bin/python benchmarks/grouping.py --peers ~/.cache/evalratchet-peers       # and the peers

First the labelled sentences in five shuffled orders, through the real deduper on a store in a temporary
folder with default settings. Then peers over the same vectors: a leader on raw cosine, scikit-learn's
HDBSCAN, and, installed by `uv` below the folder that `--peers` names, SemHash and BERTopic. Then what
each distance does on this and on other data: the default distance and the default grey band come from
here. The data is not part of the repository; `--data` says where it is.
"""

import argparse
import asyncio
import json
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from labelled import Labelled, Scores, held_out, scores, sentences, sessions
from peers.environments import interpreter
from staged import KnownVectors, decided, staged

from dedup.assign import candidate
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.encoders.port import Encoder
from dedup.policy import DEFAULT_BAND, DEFAULT_DISTANCE
from services.settings import Settings

_DISTANCES = (0.35, 0.40, 0.45, 0.50, 0.54, 0.58, 0.62, 0.66, 0.70)
_LEADERS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55)


class Embedded(msgspec.Struct):
    """Vectors of texts, each embedded once."""

    encoder: Encoder
    by_text: dict[str, np.ndarray] = {}

    def add(self, texts: Sequence[str]) -> None:
        """Embed those that are new."""
        new = list(dict.fromkeys(text for text in texts if text not in self.by_text))
        for start in range(0, len(new), 256):
            part = new[start : start + 256]
            self.by_text.update(zip(part, self.encoder.encode(part), strict=True))

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Their vectors (n, d), float32."""
        self.add(texts)
        return np.stack([self.by_text[text] for text in texts]).astype(np.float32)


def shuffled(count: int, seed: int) -> list[int]:
    """An order of arrival, the same each time."""
    return random.Random(seed).sample(range(count), count)


def line(name: str, of: Sequence[Scores], more: str = "") -> str:
    """One row: means over orders, and the standard deviation of F1."""
    f1, precision, recall, coverage, bloat = np.mean(
        [msgspec.structs.astuple(o) for o in of], axis=0
    )
    spread = f"{np.std([one.f1 for one in of]):.3f}" if len(of) > 1 else "-"
    return (
        f"{name:44} {f1:6.3f} {spread:>6} {precision:6.3f} {recall:6.3f} {coverage:6.3f} "
        f"{bloat:6.1f}{more}"
    )


HEADING = f"{'':44} {'F1':>6} {'sd':>6} {'prec.':>6} {'recall':>6} {'cover.':>6} {'bloat':>6}"


def stage(data: Labelled, embedded: Embedded, orders: int) -> None:
    """The real stage on shuffled orders."""
    embedded.add([candidate(failure).text for failure in data.failures])
    embedder = KnownVectors(embedded.encoder.identity, embedded.by_text)
    made: list[Scores] = []
    for seed in range(orders):
        order = shuffled(len(data.failures), seed)
        found = asyncio.run(staged(embedder, [data.failures[n] for n in order]))
        made.append(scores(found, [data.groups[n] for n in order]))
    print(line(f"evalratchet, default settings, {orders} orders", made), flush=True)


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


def sweep(data: Labelled, embedded: Embedded, orders: int) -> None:
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


def leader(vectors: np.ndarray, distance: float) -> list[int]:
    """The nearest text kept before, on raw cosine, else keep this one."""
    kept = np.empty((0, vectors.shape[1]), dtype=np.float32)
    found: list[int] = []
    for vector in vectors:
        similar = kept @ vector
        if len(kept) and similar.max() >= 1 - distance:
            found.append(int(similar.argmax()))
        else:
            found.append(len(kept))
            kept = np.vstack([kept, vector])
    return found


def hdbscan(vectors: np.ndarray, least: int, dimensions: int | None) -> list[int]:
    """scikit-learn's, offline, over everything at once; -1 is noise."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415 - seconds, and not everybody asks for peers
    from sklearn.decomposition import PCA  # noqa: PLC0415 - the same

    if dimensions is not None:
        vectors = PCA(dimensions, random_state=0).fit_transform(vectors)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = HDBSCAN(min_cluster_size=least, copy=True).fit(vectors).labels_
    return [int(label) for label in labels]


def with_noise(name: str, found: Sequence[int], vectors: np.ndarray, groups: Sequence[str]) -> None:
    """Two readings of noise: each text a pattern of its own, or in the group with the nearest middle."""
    labels = np.array(found)
    noise, count = labels < 0, int(labels.max()) + 1
    alone = np.where(noise, count + np.arange(len(labels)), labels)
    print(line(f"{name}, noise alone", [scores(alone.tolist(), groups)]))
    centred = vectors - vectors.mean(axis=0)
    middles = np.stack([centred[labels == number].mean(axis=0) for number in range(count)])
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    nearest = np.where(noise, (centred @ middles.T).argmax(axis=1), labels)
    print(line(f"{name}, noise to the nearest", [scores(nearest.tolist(), groups)]), flush=True)


def own_peers(data: Labelled, embedded: Embedded, *, whole: bool) -> None:
    """The peers that need nothing installed; of the leader the best distance counts."""
    order = shuffled(len(data.failures), 0)
    groups = [data.groups[n] for n in order]
    vectors = embedded.of([candidate(data.failures[n]).text for n in order])
    leaders = {d: scores(leader(vectors, d), groups) for d in _LEADERS}
    best = max(leaders, key=lambda d: leaders[d].f1)
    print(line(f"leader on raw cosine, at its best ({best:.2f})", [leaders[best]]), flush=True)
    for least in (5, 10, 20):
        found = hdbscan(vectors, least, 50)
        with_noise(f"HDBSCAN, PCA 50, least {least}", found, vectors, groups)
    if whole:
        with_noise("HDBSCAN, default", hdbscan(vectors, 5, None), vectors, groups)


def installed_peers(data: Labelled, embedded: Embedded, folder: Path) -> None:
    """SemHash and BERTopic, each in an environment of its own; of SemHash the best threshold counts."""
    order = shuffled(len(data.failures), 0)
    groups = [data.groups[n] for n in order]
    texts = [candidate(data.failures[n]).text for n in order]
    vectors = embedded.of(texts)
    script = Path(__file__).parent / "peers/grouping_peers.py"
    for name in ("semhash", "bertopic"):
        with tempfile.TemporaryDirectory() as work:
            task, found = Path(work) / "task.npz", Path(work) / "found.json"
            np.savez(task, vectors=vectors, texts=np.array(texts))
            python = interpreter(folder, name)
            subprocess.run([python, script, name, task, found], check=True, capture_output=True)
            results = json.loads(found.read_bytes())
        best = max(results, key=lambda key: scores(results[key], groups).f1)
        if min(results[best]) < 0:
            with_noise(name, results[best], vectors, groups)
        else:
            print(
                line(f"{name}, at its best ({best})", [scores(results[best], groups)]), flush=True
            )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--backend", default="auto", help="onnx, sentence-transformers or auto")
    parser.add_argument("--peers", type=Path, help="where SemHash and BERTopic are installed")
    parser.add_argument("--no-sweep", action="store_true", help="only the default distance")
    chosen = parser.parse_args()
    settings = Settings()
    spec = EncoderSpec(model=settings.embedding_model, backend=chosen.backend)
    models = settings.models or settings.home / "models"
    embedded = Embedded(load_encoder(spec, models=models, threads=2))
    banking = sentences(chosen.data)
    print(f"{embedded.encoder.identity}, distance {DEFAULT_DISTANCE}\n\n{banking.name}\n{HEADING}")
    stage(banking, embedded, chosen.orders)
    own_peers(banking, embedded, whole=chosen.peers is not None)
    if chosen.peers is not None:
        installed_peers(banking, embedded, chosen.peers)
    print(f"\nairline sessions that failed, by goal, distance {DEFAULT_DISTANCE}\n{HEADING}")
    for part in ("first message", "user turns", "failure text"):
        made = at_distance(
            sessions(chosen.data, "airline", part), embedded, chosen.orders, DEFAULT_DISTANCE
        )
        print(line(part, made), flush=True)
    if chosen.no_sweep:
        return
    others = [sessions(chosen.data, name, "failure text") for name in ("airline", "rag")]
    for data in (banking, *others, *held_out(banking)):
        sweep(data, embedded, 1 if data is banking else min(3, chosen.orders))
    bands(banking, embedded)


if __name__ == "__main__":
    main()
