"""Peers of grouping that need an environment of their own. Run by `benchmarks/grouping.py`, not by hand.

    python grouping_peers.py semhash|bertopic TASK.npz FOUND.json

TASK.npz has `vectors` (n, d) float32 and `texts`; FOUND.json gets the group of each text, -1 for none.
Both peers are given our vectors, so that what is compared is the grouping.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def bertopic(vectors: np.ndarray, texts: list[str]) -> dict[str, list[int]]:
    """BERTopic as it comes (UMAP, HDBSCAN); the seed only makes the run repeatable."""
    from bertopic import BERTopic  # noqa: PLC0415 - in its own environment only
    from umap import UMAP  # noqa: PLC0415 - in its own environment only

    reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=42)
    model = BERTopic(embedding_model=None, umap_model=reducer)
    topics, _ = model.fit_transform(texts, vectors)
    return {"default": [int(topic) for topic in topics]}


def semhash(vectors: np.ndarray, texts: list[str]) -> dict[str, list[int]]:
    """SemHash's self-deduplication: what it keeps, and what it removes as a duplicate of that.

    At its default threshold of 0.9, and at lower ones: the best of them counts.
    """
    from semhash import SemHash  # noqa: PLC0415 - in its own environment only

    rows = dict(zip(texts, vectors, strict=True))

    class Given:
        """An encoder that knows its texts."""

        def encode(self, inputs: Sequence[str], **_options: object) -> np.ndarray:
            return np.stack([rows[text] for text in inputs])

    hashed = SemHash.from_records(records=texts, model=Given())
    found = {}
    for threshold in (0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4):
        result = hashed.self_deduplicate(threshold=threshold)
        kept = {one.record: one.duplicate_of for one in result.filtered if not one.exact}
        number = {text: n for n, text in enumerate(dict.fromkeys(texts))}
        found[f"threshold {threshold}"] = [number[kept.get(text, text)] for text in texts]
    return found


def main() -> None:
    """Read the task, group, write what was found."""
    name, task, found = sys.argv[1:]
    with np.load(task) as file:
        vectors, texts = file["vectors"], [str(text) for text in file["texts"]]
    groups = {"bertopic": bertopic, "semhash": semhash}[name](vectors, texts)
    Path(found).write_text(json.dumps(groups))


if __name__ == "__main__":
    main()
