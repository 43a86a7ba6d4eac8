"""Centres of lists: k-means of unit rows, by faiss."""

import numpy as np

from dedup.index_codes import faiss

_ROUNDS = 6  # within groups
_LAST_ROUNDS = 3
_SEED = 1_234


def centres(rows: np.ndarray, number: int) -> np.ndarray:
    """Unit centres (number, d) of rows (n, d): k-means into groups, within each, then over all.

    Begun with good centres, few rounds over all do. Deterministic.
    """
    groups = _means(rows, max(1, round(float(np.sqrt(number)))))
    nearest = faiss().IndexFlatIP(rows.shape[1])
    nearest.add(groups)
    places = nearest.search(np.ascontiguousarray(rows), 1)[1][:, 0]
    sizes = np.bincount(places, minlength=len(groups))
    ends = np.round(np.cumsum(sizes) * (number / len(rows))).astype(np.int64)
    found = [
        _means(rows[places == group], int(share))
        for group, share in enumerate(np.diff(ends, prepend=0))
        if share
    ]
    return _means(rows, number, begin=np.concatenate(found))


def _means(rows: np.ndarray, number: int, begin: np.ndarray | None = None) -> np.ndarray:
    means = faiss().Kmeans(
        rows.shape[1],
        number,
        niter=_ROUNDS if begin is None else _LAST_ROUNDS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=1 << 20,
    )
    means.train(np.ascontiguousarray(rows), init_centroids=begin)
    return np.asarray(means.centroids, dtype=np.float32)
