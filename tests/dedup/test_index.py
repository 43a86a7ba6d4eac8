import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.index import Index


def _unit(rng: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _filled(vectors: np.ndarray) -> Index:
    index = Index()
    for number, vector in enumerate(vectors):
        index.add(number + 1, f"p{number}", vector)
    return index


def test_an_empty_index_has_no_nearest() -> None:
    index = Index()
    assert len(index) == 0
    assert index.seq == 0
    assert index.nearest(np.ones(3, dtype=np.float32)) is None


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 300), dimension=st.integers(1, 64))
def test_the_nearest_is_what_looking_at_every_one_finds(
    seed: int, rows: int, dimension: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, asked = _unit(rng, rows, dimension), _unit(rng, 1, dimension)[0]
    found = _filled(vectors).nearest(asked)
    distances = 1.0 - vectors.astype(np.float64) @ asked.astype(np.float64)
    assert found is not None
    assert found.distance == pytest.approx(distances.min(), abs=3e-6)
    assert distances[int(found.pattern_id[1:])] == pytest.approx(distances.min(), abs=3e-6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 200), data=st.data())
def test_of_two_equally_near_the_older_is_taken(seed: int, rows: int, data: st.DataObject) -> None:
    """Equal vectors give equal products wherever they stand, also across the index's growth."""
    rng = np.random.default_rng(seed)
    vectors = _unit(rng, rows, 384)
    older = data.draw(st.integers(0, rows - 2))
    younger = data.draw(st.integers(older + 1, rows - 1))
    vectors[younger] = vectors[older]
    found = _filled(vectors).nearest(vectors[older])
    assert found is not None
    assert found.pattern_id == f"p{older}"


def test_a_distance_is_never_below_zero() -> None:
    """The float32 norm of a unit vector may be a hair above 1."""
    vectors = _unit(np.random.default_rng(7), 300, 384)
    index = _filled(vectors)
    for number, vector in enumerate(vectors):
        found = index.nearest(vector)
        assert found is not None
        assert found.pattern_id == f"p{number}"
        assert 0.0 <= found.distance < 1e-5


def test_it_grows_past_its_first_rows_and_remembers_where_it_stands() -> None:
    index = _filled(_unit(np.random.default_rng(1), 1000, 8))
    assert len(index) == 1000
    assert index.seq == 1000


def test_it_keeps_no_hold_of_the_callers_vector() -> None:
    vector = np.array([1, 0], dtype=np.float32)
    index = Index()
    index.add(1, "p", vector)
    vector[:] = [0, 1]
    found = index.nearest(np.array([1, 0], dtype=np.float32))
    assert found is not None
    assert found.distance == 0.0


def test_a_pattern_it_has_already_is_refused_by_name() -> None:
    index = _filled(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="pattern again has seq 3, the index is at 3 already"):
        index.add(3, "again", np.ones(3, dtype=np.float32))
    assert len(index) == 3


def test_another_dimension_is_refused_and_changes_nothing() -> None:
    index = _filled(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match=r"pattern odd has shape \(4,\), not \(3,\)"):
        index.add(4, "odd", np.ones(4, dtype=np.float32))
    assert (len(index), index.seq) == (3, 3)
