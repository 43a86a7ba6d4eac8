import numpy as np
import pytest
from hdbscan import HDBSCAN
from hdbscan._hdbscan_linkage import label

import dedup.modes.graph
from dedup.modes.clusters import _merges, clusters, least_size
from dedup.modes.graph import NEIGHBOURS, Graph, neighbour_graph


def _blobs(sizes: list[int], *, noise: int = 0, seed: int = 1, width: float = 0.25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(sizes), 32))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = [
        centre + width * rng.standard_normal((size, 32)) / np.sqrt(32)
        for centre, size in zip(centres, sizes, strict=True)
    ]
    rows.append(rng.standard_normal((noise, 32)))
    placed = np.concatenate(rows)
    unit: np.ndarray = (placed / np.linalg.norm(placed, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _graph(placed: np.ndarray, k: int = NEIGHBOURS) -> Graph:
    return neighbour_graph(lambda start, stop: placed[start:stop], len(placed), k)


def test_the_graph_has_the_nearest_neighbours_without_oneself() -> None:
    placed = _blobs([50, 50, 50])
    graph = _graph(placed, 7)
    distances = 1 - placed @ placed.T
    np.fill_diagonal(distances, np.inf)
    assert np.allclose(np.sort(distances, axis=1)[:, :7], graph.distances, atol=1e-6)
    assert not (graph.near == np.arange(150)[:, None]).any()


def test_the_graph_of_many_rows_finds_most_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = _blobs([60] * 30)
    exact = _graph(placed, 8)
    monkeypatch.setattr(dedup.modes.graph, "_EXACT_ROWS", 100)
    coded = _graph(placed, 8)
    same = [len(set(a) & set(b)) / 8 for a, b in zip(exact.near, coded.near, strict=True)]
    assert np.mean(same) > 0.85
    assert not (coded.near == np.arange(len(placed))[:, None]).any()


def test_fewer_rows_than_neighbours_leave_places_empty() -> None:
    graph = _graph(_blobs([3]), 8)
    assert (graph.near >= 0).sum(axis=1).tolist() == [2, 2, 2]
    assert np.isinf(graph.distances[:, 2:]).all()


def test_the_graph_asks_for_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = _blobs([50, 50, 50])
    expected = _graph(placed, 7)
    monkeypatch.setattr(dedup.modes.graph, "_CHUNK", 40)
    blocks = _graph(placed, 7)
    assert (blocks.near == expected.near).all()
    assert (blocks.distances == expected.distances).all()


def test_dense_groups_are_found_and_what_lies_alone_is_in_none() -> None:
    sizes = [30, 40, 50]
    found = clusters(_graph(_blobs(sizes, noise=40)), 8)
    assert found.count == 3
    start = 0
    for size in sizes:
        labels = found.labels[start : start + size]
        assert len(set(labels.tolist()) - {-1}) == 1
        assert (labels >= 0).mean() > 0.9
        start += size
    assert (found.labels[start:] == -1).mean() > 0.7
    assert found.membership[start:].mean() < 0.2 < found.membership[:start].mean()
    assert found.outlier[start:].mean() > found.outlier[:start].mean() + 0.2
    assert ((found.membership >= 0) & (found.membership <= 1)).all()
    assert (found.membership[found.labels < 0] == 0).all()


def test_groups_that_no_edge_joins_are_told_apart() -> None:
    found = clusters(_graph(_blobs([40] * 10, width=0.05)), 8)
    assert found.count == 10
    assert (found.labels.reshape(10, 40) == found.labels.reshape(10, 40)[:, :1]).all()


def test_it_agrees_with_hdbscan_on_the_whole_matrix() -> None:
    placed = _blobs([40, 60, 30, 25], noise=30, width=0.5)
    ours = clusters(_graph(placed, 64), 10).labels
    distances = np.maximum(1 - placed.astype(np.float64) @ placed.T, 0)
    theirs = HDBSCAN(min_cluster_size=10, min_samples=6, metric="precomputed").fit(distances)
    together = (ours[:, None] == ours) & (ours >= 0)
    expected = (theirs.labels_[:, None] == theirs.labels_) & (theirs.labels_ >= 0)
    assert (together == expected).mean() > 0.97


def test_the_same_rows_give_the_same_clusters() -> None:
    placed = _blobs([40, 60, 30, 25], noise=30, width=0.5)
    one, two = (clusters(_graph(placed)) for _ in range(2))
    assert (one.labels == two.labels).all()
    assert (one.membership == two.membership).all()
    assert (one.outlier == two.outlier).all()


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_too_few_rows_have_no_clusters(rows: int) -> None:
    found = clusters(_graph(_blobs([rows])))
    assert found.count == 0
    assert found.labels.tolist() == [-1] * rows


def test_equal_rows_are_one_cluster_and_break_nothing() -> None:
    placed = np.concatenate([np.repeat(_blobs([1], seed=n), 30, axis=0) for n in range(3)])
    found = clusters(_graph(placed), 5)
    assert found.count == 3
    assert np.isfinite(found.membership).all()
    assert np.isfinite(found.outlier).all()


def test_a_mode_has_a_quarter_of_the_root_of_all_patterns() -> None:
    assert [least_size(n) for n in (20, 400, 1600, 10_000)] == [4, 5, 10, 20]


def test_merges_are_those_of_hdbscan() -> None:
    rng = np.random.default_rng(1)
    edges = np.array([[number, rng.integers(0, number), rng.random()] for number in range(1, 500)])
    edges = edges[np.argsort(edges[:, 2])]
    ours, theirs = _merges(edges), label(edges)
    assert np.array_equal(np.sort(ours[:, :2], axis=1), np.sort(theirs[:, :2], axis=1))
    assert np.array_equal(ours[:, 2:], theirs[:, 2:])
