import tracemalloc
from io import BytesIO

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dedup.index
import dedup.index_overlay
from dedup.index import Index, Neighbour, NotAnIndex, Row

DIMENSION = 24


def _unit(rng: np.random.Generator, rows: int, dimension: int = DIMENSION) -> np.ndarray:
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _near(rng: np.random.Generator, rows: np.ndarray, share: float = 0.3) -> np.ndarray:
    moved = rows + share * _unit(rng, len(rows), rows.shape[1])
    unit: np.ndarray = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit.astype(np.float32)


def _filled(vectors: np.ndarray, guard: str = "g") -> Index:
    index = Index(vectors.shape[1])
    index.put_many([Row(n + 1, f"p{n}", guard, row) for n, row in enumerate(vectors)])
    return index


def _ids(index: Index, asked: np.ndarray, guard: str = "g", k: int = 1) -> list[list[str]]:
    found = index.search(asked, [guard] * len(asked), k)
    return [[one.pattern_id for one in near] for near in found]


def _large(monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray, exact: int = 200) -> Index:
    """An index that has gone over to lists."""
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", exact)
    index = _filled(vectors)
    index.train()
    assert index.error_bound > 0
    return index


def test_an_empty_index_finds_nothing() -> None:
    index = Index(3)
    assert (len(index), index.seq, index.geometry) == (0, 0, 0)
    assert index.search(np.ones((2, 3), dtype=np.float32), ["a", "b"], 5) == [[], []]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 300), k=st.integers(1, 12))
def test_the_nearest_are_what_looking_at_every_one_finds(seed: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, asked = _unit(rng, rows), _unit(rng, 3)
    found = _filled(vectors).search(asked, ["g"] * 3, k)
    exact = np.sort(1.0 - asked.astype(np.float64) @ vectors.astype(np.float64).T, axis=1)[:, :k]
    for near, distances in zip(found, exact, strict=True):
        assert [one.distance for one in near] == pytest.approx(distances.tolist(), abs=3e-6)


def test_patterns_of_another_guard_are_never_found() -> None:
    vectors = _unit(np.random.default_rng(1), 20)
    index = _filled(vectors[:10], "model|refund")
    index.put(11, "other", "model|search", vectors[0])
    assert _ids(index, vectors[:1], "model|search", k=5) == [["other"]]
    assert "other" not in _ids(index, vectors[:1], "model|refund", k=20)[0]
    assert _ids(index, vectors[:1], "input|", k=5) == [[]]


def test_of_equally_near_patterns_the_older_one_comes_first() -> None:
    row = _unit(np.random.default_rng(1), 1)
    index = _filled(np.repeat(row, 3, axis=0))
    assert _ids(index, row, k=3) == [["p0", "p1", "p2"]]


def test_a_pattern_that_moved_is_found_where_it_is_now() -> None:
    rng = np.random.default_rng(1)
    vectors, places = _unit(rng, 50), _unit(rng, 1)
    index = _filled(vectors)
    index.put(51, "p7", "g", places[0])
    assert len(index) == 50
    assert _ids(index, places) == [["p7"]]
    assert _ids(index, vectors[7:8]) != [["p7"]]


def test_a_pattern_that_is_gone_is_not_found_and_the_others_are() -> None:
    vectors = _unit(np.random.default_rng(1), 50)
    index = _filled(vectors)
    index.drop(51, "p7")
    index.drop(52, "nobody")
    assert (len(index), index.seq) == (49, 52)
    assert "p7" not in index
    assert _ids(index, vectors) == [
        [f"p{n}"] if n != 7 else [_ids(index, vectors[7:8])[0][0]] for n in range(50)
    ]


def test_a_pattern_may_change_its_guard() -> None:
    vectors = _unit(np.random.default_rng(1), 5)
    index = _filled(vectors)
    index.put(6, "p2", "h", vectors[2])
    assert len(index) == 5
    assert "p2" not in _ids(index, vectors[2:3], "g", k=5)[0]
    assert _ids(index, vectors[2:3], "h", k=5) == [["p2"]]


def test_of_several_changes_of_one_pattern_at_once_the_last_holds() -> None:
    vectors = _unit(np.random.default_rng(1), 3)
    index = Index(DIMENSION)
    index.put_many(
        [
            Row(1, "a", "g", vectors[0]),
            Row(2, "b", "g", vectors[1]),
            Row(3, "a", "g", None),
            Row(4, "b", "g", vectors[2]),
        ]
    )
    assert _ids(index, vectors[2:], k=5) == [["b"]]
    assert index.seq == 4


def test_a_seq_that_has_not_risen_is_refused_and_changes_nothing() -> None:
    vectors = _unit(np.random.default_rng(1), 3)
    index = _filled(vectors)
    with pytest.raises(ValueError, match="seq 3, the index is at 3"):
        index.put(3, "late", "g", vectors[0])
    with pytest.raises(ValueError, match="shape"):
        index.put_many([Row(4, "x", "g", vectors[0]), Row(5, "y", "g", np.ones(2, np.float32))])
    assert (len(index), index.seq) == (3, 3)


def test_a_guard_that_outgrew_exactness_is_overdue_until_it_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", 100)
    vectors = _unit(np.random.default_rng(1), 150)
    index = _filled(vectors[:100])
    assert index.overdue() == []
    index.put_many([Row(101 + n, f"q{n}", "g", row) for n, row in enumerate(vectors[100:])])
    assert index.overdue() == ["g"]
    index.train()
    assert index.overdue() == []
    more = _unit(np.random.default_rng(2), 4000)
    index.put_many([Row(1000 + n, f"r{n}", "g", row) for n, row in enumerate(more)])
    assert index.overdue() == ["g"]


def test_lists_find_what_looking_at_every_one_finds_and_say_how_far_off_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    vectors = _unit(rng, 3000)
    index, asked = _large(monkeypatch, vectors), _near(rng, vectors[::10])
    found = index.search(asked, ["g"] * len(asked), 5)
    exact = 1.0 - asked @ vectors.T
    # so few rows have fewer lists than are looked at: only rounding can put others in front
    for near, distances in zip(found, exact, strict=True):
        assert near[0].pattern_id == f"p{distances.argmin()}"
        for one in near:
            assert abs(one.distance - distances[int(one.pattern_id[1:])]) <= index.error_bound


def test_rows_that_moved_came_or_went_after_training_are_found_as_they_are_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    vectors = _unit(rng, 4000)
    index = _large(monkeypatch, vectors)
    now = dict(enumerate(vectors))
    seq = index.seq
    for number in rng.permutation(4000)[:2500].tolist():  # more than the overlay takes
        seq += 1
        if number % 5 == 0:
            index.drop(seq, f"p{number}")
            del now[number]
        else:
            now[number] = _near(rng, vectors[number : number + 1])[0]
            index.put(seq, f"p{number}", "g", now[number])
    for number in range(4000, 4500):
        seq += 1
        now[number] = _unit(rng, 1)[0]
        index.put(seq, f"p{number}", "g", now[number])
    assert len(index) == len(now)
    numbers, rows = list(now), np.stack(list(now.values()))
    assert _ids(index, rows) == [[f"p{number}"] for number in numbers]
    found = {one for near in _ids(index, rows[:200], k=20) for one in near}
    assert found <= {f"p{number}" for number in numbers}


def test_what_changes_while_lists_are_trained_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = _unit(rng, 900)
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", 200)
    index = _filled(vectors[:300])
    for first in (300, 600):  # from exact to lists, then from lists to lists
        training = index.begin_training("g")
        moved = _unit(rng, 1)[0]
        index.put(first * 10, f"p{first - 1}", "g", moved)
        index.drop(first * 10 + 1, f"p{first - 2}")
        new = vectors[first : first + 300]
        index.put_many(
            [Row(first * 10 + 2 + n, f"p{first + n}", "g", row) for n, row in enumerate(new)]
        )
        index.end_training("g", training.run())
        assert _ids(index, moved[None]) == [[f"p{first - 1}"]]
        assert f"p{first - 2}" not in _ids(index, vectors[first - 2 : first - 1], k=50)[0]
        assert _ids(index, new) == [[f"p{first + n}"] for n in range(300)]


def test_training_that_failed_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = _unit(np.random.default_rng(1), 300)
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", 200)
    index = _filled(vectors)
    index.begin_training("g")
    assert index.overdue() == []
    index.end_training("g", None)
    assert index.overdue() == ["g"]
    assert _ids(index, vectors[:9]) == [[f"p{n}"] for n in range(9)]


def test_the_same_calls_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors, asked = _unit(rng, 3000), _unit(rng, 40)
    one, two = _large(monkeypatch, vectors), _large(monkeypatch, vectors)
    assert one.search(asked, ["g"] * 40, 8) == two.search(asked, ["g"] * 40, 8)


@pytest.mark.parametrize("exact", [100, 10_000])
def test_what_was_written_is_read_back(monkeypatch: pytest.MonkeyPatch, exact: int) -> None:
    rng = np.random.default_rng(1)
    vectors, asked = _unit(rng, 500), _unit(rng, 40)
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", exact)
    index = _filled(vectors)
    index.geometry = 7
    index.put(501, "apart", "h|ø", vectors[0])
    index.train()
    index.put(502, "lately", "g", _unit(rng, 1)[0])
    index.drop(503, "p3")
    index.drop(504, "p4")
    file = BytesIO()
    index.write(file)
    again = Index.read(BytesIO(file.getvalue()))
    assert (again.seq, again.geometry, len(again)) == (504, 7, 500)
    guards = ["g"] * 39 + ["h|ø"]
    assert again.search(asked, guards, 6) == index.search(asked, guards, 6)
    again.put(505, "p4", "g", vectors[4])
    again.put(506, "new", "g", vectors[3])
    assert _ids(again, vectors[3:5]) == [["new"], ["p4"]]
    assert again.memory_bytes == pytest.approx(index.memory_bytes, rel=0.3)


def test_a_file_of_another_faiss_is_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    file = BytesIO()
    _filled(_unit(np.random.default_rng(1), 5)).write(file)
    monkeypatch.setattr(dedup.index, "FAISS_VERSION", "0.1")
    with pytest.raises(NotAnIndex, match=r"not 2 of 0\.1"):
        Index.read(BytesIO(file.getvalue()))


def test_a_head_that_is_none_is_no_index() -> None:
    head = msgspec.msgpack.encode({"format": "x"})
    with pytest.raises(NotAnIndex, match="head cannot be read"):
        Index.read(BytesIO(len(head).to_bytes(8, "little") + head))


def test_memory_is_that_of_the_rows_and_about_two_hundred_bytes_a_pattern(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = _unit(np.random.default_rng(1), 4096, 384)
    exact, listed = _filled(vectors), _large(monkeypatch, vectors)
    assert 4 * 384 + 190 <= exact.memory_bytes / 4096 < 4 * 384 + 400
    assert listed.memory_bytes < exact.memory_bytes * 0.6


def _exactly_nearest(index: Index, now: dict[str, np.ndarray], asked: np.ndarray) -> None:
    rows = np.stack(list(now.values())).astype(np.float64)
    found = index.search(asked[:1], ["g"], 8)[0]
    exact = np.sort(1.0 - rows @ asked[0].astype(np.float64))[:8]
    assert [one.distance for one in found] == pytest.approx(exact.tolist(), abs=3e-6)
    for one in found:
        assert one.distance == pytest.approx(1.0 - float(now[one.pattern_id] @ asked[0]), abs=3e-6)


def test_thousands_of_patterns_are_searched_by_codes_with_exactly_the_same_answer() -> None:
    rng = np.random.default_rng(1)
    vectors = _unit(rng, 2500, 64)
    index, now = _filled(vectors), {f"p{n}": row for n, row in enumerate(vectors)}
    _exactly_nearest(index, now, _near(rng, vectors[:1]))
    for number in range(0, 400, 2):  # codes follow what moves and goes, and come back with growth
        index.drop(index.seq + 1, f"p{number}")
        del now[f"p{number}"]
        now[f"p{number + 1}"] = _near(rng, vectors[number : number + 1])[0]
        index.put(index.seq + 1, f"p{number + 1}", "g", now[f"p{number + 1}"])
        if number % 40 == 0:
            _exactly_nearest(index, now, vectors[number : number + 1])
    sharp = np.eye(64, dtype=np.float32)[:1]  # far outside of what the codes were made for
    for number in range(1000):
        row = sharp[0] if number == 0 else _unit(rng, 1, 64)[0]
        now[f"q{number}"] = row
        index.put(index.seq + 1, f"q{number}", "g", row)
    _exactly_nearest(index, now, sharp)
    _exactly_nearest(index, now, vectors[1:2])


def test_patterns_too_close_for_codes_are_told_apart_exactly() -> None:
    rng = np.random.default_rng(1)
    middle = _unit(rng, 1, 64)
    vectors = _near(rng, np.repeat(middle, 2200, axis=0), 0.01)
    index = _filled(vectors)
    _exactly_nearest(index, {f"p{n}": row for n, row in enumerate(vectors)}, vectors[7:8])
    assert _ids(index, vectors[7:8]) == [["p7"]]


def test_a_guard_with_one_pattern_takes_little_more_than_its_row() -> None:
    rows, index = _unit(np.random.default_rng(1), 500, 384), Index(384)
    tracemalloc.start()
    for number, row in enumerate(rows):
        index.put(number + 1, f"{number:016x}", f"model|tool_{number}", row)
    taken = tracemalloc.get_traced_memory()[0] / 500
    tracemalloc.stop()
    assert taken < 4 * 384 + 1500
    assert index.memory_bytes / 500 == pytest.approx(taken, rel=0.3)


def test_lists_are_overdue_when_a_quarter_of_the_patterns_has_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dedup.index_overlay, "_FOLD_AT", 50)
    rng = np.random.default_rng(1)
    vectors = _unit(rng, 1000)
    index, moved = _large(monkeypatch, vectors), _unit(rng, 300)
    index.put_many([Row(2000 + n, f"p{n}", "g", row) for n, row in enumerate(moved[:200])])
    assert index.overdue() == []
    index.put_many([Row(3000 + n, f"p{200 + n}", "g", row) for n, row in enumerate(moved[200:])])
    assert index.overdue() == ["g"]
    grown = index.memory_bytes
    index.train()
    assert index.overdue() == []
    assert index.memory_bytes < grown
    assert _ids(index, moved) == [[f"p{n}"] for n in range(300)]


def test_training_again_rounds_no_row_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = _unit(rng, 1000)
    index = _large(monkeypatch, vectors)
    before = index.search(vectors[:50], ["g"] * 50, 1)
    for _ in range(3):
        index.end_training("g", index.begin_training("g").run())
    assert index.search(vectors[:50], ["g"] * 50, 1) == [
        [Neighbour(one[0].pattern_id, one[0].distance)] for one in before
    ]
