"""The sparse graph of nearest neighbours that modes are made from."""

from functools import partial
from typing import Any

import msgspec
import numpy as np

from dedup.index_exact import ExactRows, nearest_first
from dedup.index_lists import CodedRows, RowsOf

NEIGHBOURS = 16
"""Edges a pattern; HDBSCAN's density is that of the fifth."""
_EXACT_ROWS = 4_000  # below, looking at every pair takes a tenth of a second
_PROBES = 16  # most neighbours: a tree is spanned by the short edges, which are found first
_COMPARED = 64  # of what the lists name; with fewer, more of the farther neighbours are missed
_CHUNK = 2_048  # queries at once; each takes 9 kB while lists are looked at


class Graph(msgspec.Struct, frozen=True):
    """For each row its neighbours, nearest first, itself left out.

    `near` (n, k) int32, -1 where there are fewer; `distances` (n, k) float32, cosine, inf there.
    """

    near: np.ndarray
    distances: np.ndarray


def neighbour_graph(placed: RowsOf, count: int, k: int = NEIGHBOURS) -> Graph:
    """The graph of so many placed centroids, unit rows, asked for in blocks. Deterministic."""
    search = _coded if count > _EXACT_ROWS else _exact
    near = np.full((count, k), -1, dtype=np.int32)
    distances = np.full((count, k), np.inf, dtype=np.float32)
    find = search(placed, count)
    for start in range(0, count, _CHUNK):
        stop = min(count, start + _CHUNK)
        far, keys = nearest_first(*find(placed(start, stop), k + 1))
        own = keys == np.arange(start, stop)[:, None]
        own[~own.any(axis=1), -1] = True  # not found among its own neighbours: the farthest goes
        near[start:stop] = keys[~own].reshape(stop - start, k)
        distances[start:stop] = far[~own].reshape(stop - start, k)
    distances[near < 0] = np.inf
    return Graph(near, np.maximum(distances, 0.0))


def _exact(placed: RowsOf, count: int) -> Any:
    all_of_them = placed(0, count)
    rows = ExactRows(all_of_them.shape[1])
    rows.put_all(np.arange(count), all_of_them)
    return rows.search


def _coded(placed: RowsOf, count: int) -> Any:
    coded = CodedRows.trained(np.arange(count), placed)
    coded.probe(_PROBES)
    return partial(coded.search, compared=_COMPARED)
