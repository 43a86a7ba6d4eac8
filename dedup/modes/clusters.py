"""HDBSCAN over a sparse graph: Campello, Moulavi, Sander (2013), with hdbscan's own condensed tree.

The minimum spanning tree of the mutual reachability is taken over the graph's edges alone; parts of
the graph that no edge joins are joined at the largest distance there is, where they come apart first.
"""

import msgspec
import numpy as np
from hdbscan._hdbscan_tree import (
    compute_stability,
    condense_tree,
    get_clusters,
    outlier_scores,
)
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from dedup.modes.graph import Graph

DENSITY = 5
"""A pattern's core distance is that to its so-manieth neighbour."""
_LEAST = 1e-6  # float32's rounding; a weight of 0 would be no edge
_APART = 2.0  # the largest cosine distance
_SMALLEST, _LARGEST = 4, 20


class Clusters(msgspec.Struct, frozen=True):
    """What was found for each of n rows.

    `labels` (n,) int64, from 0, -1 for none; `membership` (n,) float64, 0 to 1, how far inside its
    cluster a row lies; `outlier` (n,) float64, 0 to 1, GLOSH of Campello et al. (2015).
    """

    labels: np.ndarray
    membership: np.ndarray
    outlier: np.ndarray

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max(initial=-1)) + 1


def least_size(patterns: int) -> int:
    """How many patterns make a mode: a quarter of the root of all, from 4 to 20."""
    return min(_LARGEST, max(_SMALLEST, round(float(np.sqrt(patterns)) / 4)))


def clusters(graph: Graph, least: int | None = None) -> Clusters:
    """Density clusters of at least `least` rows. The same graph gives the same clusters."""
    count = len(graph.near)
    least = least_size(count) if least is None else least
    if count <= least:
        nothing = np.zeros(count)
        return Clusters(np.full(count, -1, dtype=np.int64), nothing, nothing.copy())
    tree = condense_tree(_merges(_spanning_tree(graph)), least)
    labels, membership, _ = get_clusters(tree, compute_stability(tree))
    outlier = np.zeros(count)
    scores = np.nan_to_num(outlier_scores(tree))
    outlier[: len(scores)] = np.clip(scores, 0.0, 1.0)
    return Clusters(np.asarray(labels, dtype=np.int64), np.asarray(membership), outlier)


def _spanning_tree(graph: Graph) -> np.ndarray:
    """Edges (n - 1, 3): from, to, mutual reachability; the shortest first."""
    tree = minimum_spanning_tree(_edges(graph), overwrite=True).tocoo()
    _, part_of = connected_components(tree, directed=False)
    joints = np.unique(part_of, return_index=True)[1]  # the first row of each part
    one = np.concatenate([tree.row, joints[:-1]])
    other = np.concatenate([tree.col, joints[1:]])
    weights = np.concatenate([tree.data, np.full(len(joints) - 1, _APART)])
    order = np.lexsort((other, one, weights))
    return np.stack([one[order], other[order], weights[order]], axis=1)


def _edges(graph: Graph) -> csr_matrix:
    """The mutual reachability (n, n), float64, of neighbours, each edge once, above the diagonal.

    Made as rows at once: scipy's way there from a list of edges has all of it several times in memory.
    """
    count, k = graph.near.shape
    core = graph.distances[:, min(DENSITY, k) - 1]
    core = np.where(np.isfinite(core), core, np.float32(_APART))
    there = graph.near >= 0
    rows, columns = np.nonzero(there)[0].astype(np.int32), graph.near[there]
    keys = np.minimum(rows, columns).astype(np.int64) * count + np.maximum(rows, columns)
    keys, first = np.unique(keys, return_index=True)  # an edge that both ends have found
    cores = np.maximum(core[rows[first]], core[columns[first]])
    weights = np.maximum(graph.distances[there][first], cores).astype(np.float64)
    starts = np.searchsorted(keys, np.arange(count + 1) * count)
    held = np.maximum(weights, _LEAST), (keys % count).astype(np.int32), starts.astype(np.int32)
    return csr_matrix(held, shape=(count, count))


def _merges(edges: np.ndarray) -> np.ndarray:
    """The tree of single linkage (n - 1, 4) of a spanning tree's edges, the shortest first.

    A row is a merge: two nodes, their distance and the rows in both; merge i makes node n + i. hdbscan's
    own takes twenty times as long on 200 thousand rows: its paths grow long.
    """
    count = len(edges) + 1
    above = list(range(2 * count - 1))
    size = [1] * count + [0] * (count - 1)
    found = np.empty((count - 1, 4))
    nodes = edges[:, :2].astype(np.int64).tolist()
    for number, pair in enumerate(nodes):
        one, other = pair
        while above[one] != one:
            above[one] = one = above[above[one]]
        while above[other] != other:
            above[other] = other = above[above[other]]
        new = count + number
        above[one] = above[other] = new
        size[new] = size[one] + size[other]
        found[number] = one, other, edges[number, 2], size[new]
    return found
