"""Other ways of grouping the same vectors, for `benchmarks/grouping.py`."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from labelled import Embedded, Labelled, Scores, line, scores, shuffled
from peers.environments import interpreter

from dedup.assign import candidate

TUNED = "tuned on the labels:"
"""Begins the names of peers that were given what nobody has on the first day."""
_LEADERS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55)


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


def with_noise(
    name: str, found: Sequence[int], vectors: np.ndarray, groups: Sequence[str]
) -> dict[str, Scores]:
    """Two readings of noise: each text a pattern of its own, or in the group with the nearest middle."""
    labels = np.array(found)
    noise, count = labels < 0, int(labels.max()) + 1
    alone = np.where(noise, count + np.arange(len(labels)), labels)
    centred = vectors - vectors.mean(axis=0)
    middles = np.stack([centred[labels == number].mean(axis=0) for number in range(count)])
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    nearest = np.where(noise, (centred @ middles.T).argmax(axis=1), labels)
    return _shown(
        {
            f"{name}, noise alone": scores(alone.tolist(), groups),
            f"{name}, noise to the nearest": scores(nearest.tolist(), groups),
        }
    )


def _shown(of: dict[str, Scores]) -> dict[str, Scores]:
    for name, one in of.items():
        print(line(name, [one]), flush=True)
    return of


def own_peers(data: Labelled, embedded: Embedded, *, whole: bool) -> dict[str, Scores]:
    """The peers that need nothing installed; of the leader the best distance counts."""
    order = shuffled(len(data.failures), 0)
    groups = [data.groups[n] for n in order]
    vectors = embedded.of([candidate(data.failures[n]).text for n in order])
    leaders = {d: scores(leader(vectors, d), groups) for d in _LEADERS}
    best = max(leaders, key=lambda d: leaders[d].f1)
    made = _shown({f"leader on raw cosine, at its best ({best:.2f})": leaders[best]})
    if whole:
        made |= with_noise("HDBSCAN as it comes", hdbscan(vectors, 5, None), vectors, groups)
    for least in (5, 10, 20):
        found = hdbscan(vectors, least, 50)
        made |= with_noise(f"{TUNED} HDBSCAN, PCA 50, least {least}", found, vectors, groups)
    return made


def installed_peers(data: Labelled, embedded: Embedded, folder: Path) -> dict[str, Scores]:
    """SemHash and BERTopic, each in an environment of its own; of SemHash the best threshold counts."""
    order = shuffled(len(data.failures), 0)
    groups = [data.groups[n] for n in order]
    texts = [candidate(data.failures[n]).text for n in order]
    vectors = embedded.of(texts)
    script = Path(__file__).parent / "peers/grouping_peers.py"
    made: dict[str, Scores] = {}
    for name in ("semhash", "bertopic"):
        with tempfile.TemporaryDirectory() as work:
            task, found = Path(work) / "task.npz", Path(work) / "found.json"
            np.savez(task, vectors=vectors, texts=np.array(texts))
            python = interpreter(folder, name)
            run = subprocess.run(
                [python, script, name, task, found], capture_output=True, text=True, check=False
            )
            if run.returncode:
                message = f"{name} did not run:\n{run.stderr}"
                raise SystemExit(message)
            results = json.loads(found.read_bytes())
        best = max(results, key=lambda key: scores(results[key], groups).f1)
        if min(results[best]) < 0:
            made |= with_noise(f"{name} as it comes", results[best], vectors, groups)
        else:
            own = scores(results[best], groups)
            made |= _shown({f"{name}, at its best ({best})": own})
    return made
