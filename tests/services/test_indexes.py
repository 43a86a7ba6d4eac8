import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

import dedup.index
from dedup.geometry import Geometry
from services import indexes as module
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.pattern_store import StoredCentroid

DIMENSION = 16
PLAIN = Geometry(1, np.zeros(DIMENSION, dtype=np.float32))


class _Centroids:
    """A store that keeps changes in memory, in the order in which they were made."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredCentroid] = {}
        self.seq = 0
        self.asked: list[int] = []

    def put(self, pattern_id: str, total: np.ndarray, count: int = 1, guard: str = "g") -> None:
        self.seq += 1
        data = total.astype("<f4").tobytes()
        self.rows[pattern_id] = StoredCentroid(self.seq, pattern_id, guard, data, count)

    async def centroids_after(
        self, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredCentroid]:
        self.asked.append(seq)
        await asyncio.sleep(0)  # as a store would: others come to their turn
        newer = [row for row in self.rows.values() if row.seq > seq]
        return sorted(newer, key=lambda row: row.seq)[:limit]


def _vectors(rows: int, seed: int = 1) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype(np.float32)
    unit: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


@pytest.fixture
def store() -> _Centroids:
    store = _Centroids()
    for number, vector in enumerate(_vectors(40)):
        store.put(f"p{number}", 3 * vector, 3)
    return store


@pytest.fixture
def files(tmp_path: Path) -> IndexFiles:
    return IndexFiles(tmp_path)


async def _found(
    indexes: Indexes, store: _Centroids, asked: np.ndarray, geometry: Geometry = PLAIN
) -> list[str]:
    async with indexes.using("shop", "space", geometry, store) as index:
        near = index.search(geometry.placed(asked), ["g"] * len(asked), 1)
    return [one[0].pattern_id for one in near]


async def test_an_index_is_filled_from_the_store_and_follows_it(store: _Centroids) -> None:
    indexes, vectors = Indexes(None), _vectors(40)
    assert await _found(indexes, store, vectors) == [f"p{n}" for n in range(40)]
    store.put("new", _vectors(1, 9)[0])
    store.put("p3", np.zeros(DIMENSION), 0)
    store.put("p4", vectors[3])
    assert await _found(indexes, store, vectors[3:4]) == ["p4"]
    assert await _found(indexes, store, _vectors(1, 9)) == ["new"]
    assert (indexes.patterns, store.asked[-1]) == (40, store.seq)


async def test_pages_are_read_until_there_are_none(
    store: _Centroids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 7)
    monkeypatch.setattr(module, "_SMALL", 5)
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", 20)
    indexes = Indexes(None)
    assert await _found(indexes, store, _vectors(40)) == [f"p{n}" for n in range(40)]
    assert store.asked == [0, 7, 14, 21, 28, 35]
    async with indexes.using("shop", "space", PLAIN, store) as index:
        assert index.error_bound > 0  # lists were trained on the way


async def test_another_geometry_places_everything_anew(store: _Centroids) -> None:
    indexes, vectors = Indexes(None), _vectors(40)
    await _found(indexes, store, vectors)
    moved = Geometry(2, _vectors(1, 5)[0] * np.float32(0.4))
    assert await _found(indexes, store, vectors, moved) == [f"p{n}" for n in range(40)]
    async with indexes.using("shop", "space", moved, store) as index:
        near = index.search(moved.placed(vectors[:1]), ["g"], 40)[0]
    exact = np.sort(1 - moved.placed(vectors[:1]) @ moved.placed(vectors).T)[0]
    assert [one.distance for one in near] == pytest.approx(exact.tolist(), abs=1e-5)


async def test_after_a_restart_only_what_is_newer_is_read(
    store: _Centroids, files: IndexFiles
) -> None:
    first = Indexes(files)
    await _found(first, store, _vectors(1))
    await first.close()
    store.put("new", _vectors(1, 9)[0])
    store.asked.clear()
    second = Indexes(files)
    assert await _found(second, store, _vectors(1, 9)) == ["new"]
    assert store.asked == [0, 40]  # whether it is this store's, then what is newer


async def test_a_file_that_is_deleted_comes_back(store: _Centroids, files: IndexFiles) -> None:
    for _ in range(2):
        indexes = Indexes(files)
        assert await _found(indexes, store, _vectors(40)) == [f"p{n}" for n in range(40)]
        await indexes.close()
        files.path("shop", "space").unlink()


async def test_a_corrupt_file_is_said_once_and_the_index_filled_from_the_store(
    store: _Centroids, files: IndexFiles
) -> None:
    first = Indexes(files)
    await _found(first, store, _vectors(1))
    await first.close()
    files.path("shop", "space").write_bytes(b"evalratchet index\n" + b"\xff" * 500)
    second = Indexes(files)
    with capture_logs() as logs:
        for _ in range(3):
            assert await _found(second, store, _vectors(40)) == [f"p{n}" for n in range(40)]
    assert [log["event"] for log in logs] == ["index_not_used"]


async def test_a_file_of_another_stores_future_is_not_believed(
    store: _Centroids, files: IndexFiles
) -> None:
    first = Indexes(files)
    await _found(first, store, _vectors(1))
    await first.close()
    restored = _Centroids()  # from a backup: it has not been where the file has been
    restored.put("only", _vectors(1, 3)[0])
    second = Indexes(files)
    with capture_logs() as logs:
        assert await _found(second, restored, _vectors(2)) == ["only", "only"]
    assert [log["why"] for log in logs] == ["of another store"]


async def test_a_file_of_a_past_that_was_restored_away_is_not_believed(
    store: _Centroids, files: IndexFiles
) -> None:
    """The store went on from its backup, beyond where the file is."""
    first = Indexes(files)
    await _found(first, store, _vectors(1))
    await first.close()
    del store.rows["p38"], store.rows["p39"]  # the backup was of before these
    store.seq = 38
    for number, vector in enumerate(_vectors(5, 9)):
        store.put(f"n{number}", vector)
    second = Indexes(files)
    with capture_logs() as logs:
        assert await _found(second, store, _vectors(5, 9)) == [f"n{n}" for n in range(5)]
    assert [log["why"] for log in logs] == ["of another store"]


async def test_lists_are_trained_beside_the_work_and_saved_afterwards(
    store: _Centroids, files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", 30)
    monkeypatch.setattr(module, "_SAVE_AFTER", 10)
    indexes, vectors = Indexes(files), _vectors(40)
    async with asyncio.timeout(60):
        while True:
            assert await _found(indexes, store, vectors) == [f"p{n}" for n in range(40)]
            async with indexes.using("shop", "space", PLAIN, store) as index:
                if index.error_bound:
                    break
    await indexes.close()
    loaded = files.load("shop", "space")
    assert loaded is not None
    assert loaded.error_bound > 0
    assert len(loaded) == 40


async def test_an_index_is_saved_when_much_has_changed(
    store: _Centroids, files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SAVE_AFTER", 10)
    indexes = Indexes(files)
    async with asyncio.timeout(60):
        while not files.path("shop", "space").exists():
            await _found(indexes, store, _vectors(1))
    saved = files.path("shop", "space").stat().st_mtime_ns
    store.put("new", _vectors(1, 9)[0])
    await _found(indexes, store, _vectors(1))
    await _found(indexes, store, _vectors(1))
    assert files.path("shop", "space").stat().st_mtime_ns == saved


async def test_a_full_disk_is_said_and_stops_nothing(
    store: _Centroids, files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexFiles, "save", full)
    indexes = Indexes(files)
    await _found(indexes, store, _vectors(1))
    with capture_logs() as logs:
        await indexes.close()
    assert [log["event"] for log in logs] == ["index_not_saved"]
    assert await _found(indexes, store, _vectors(2)) == ["p0", "p1"]


async def test_the_index_not_used_for_longest_goes_when_memory_is_short(
    store: _Centroids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 15_000)
    indexes = Indexes(None)
    for project in ("one", "two", "three"):
        async with indexes.using(project, "space", PLAIN, store) as index:
            assert len(index) == 40
    assert indexes.patterns < 120
    async with indexes.using("one", "space", PLAIN, store) as index:
        assert len(index) == 40


async def test_an_index_that_grows_makes_the_others_go_when_memory_is_short(
    store: _Centroids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 60_000)
    indexes, growing = Indexes(None), _Centroids()
    for project, centroids in (("one", store), ("two", growing)):
        async with indexes.using(project, "space", PLAIN, centroids):
            pass
    assert indexes.holds("one", "space", PLAIN)
    for number, vector in enumerate(_vectors(400, 9)):
        growing.put(f"n{number}", vector)
    async with indexes.using("two", "space", PLAIN, growing) as index:
        assert len(index) == 400
    assert not indexes.holds("one", "space", PLAIN)
    assert indexes.holds("two", "space", PLAIN)


async def test_one_can_wait_until_an_index_is_written_and_only_for_that_one(
    store: _Centroids, files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SAVE_AFTER", 10)
    go_on, save = threading.Event(), IndexFiles.save

    def slow(*arguments: Any) -> None:
        go_on.wait(30)
        save(*arguments)

    monkeypatch.setattr(IndexFiles, "save", slow)
    indexes = Indexes(files)
    await _found(indexes, store, _vectors(1))
    await asyncio.wait_for(indexes.written("shop", "another space"), 5)
    waiting = asyncio.create_task(indexes.written("shop", "space"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    go_on.set()
    await asyncio.wait_for(waiting, 60)
    assert files.path("shop", "space").exists()
    await asyncio.wait_for(indexes.written("shop", "space"), 5)


async def test_an_index_that_nobody_needs_again_goes_with_its_file(
    store: _Centroids, files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes = Indexes(files)
    await _found(indexes, store, _vectors(1))
    await indexes.close()
    await indexes.discard("shop", "space")
    assert indexes.patterns == 0
    assert not files.path("shop", "space").exists()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(IndexFiles, "remove", refused)
    with capture_logs() as logs:
        await indexes.discard("shop", "space")
    assert [log["event"] for log in logs] == ["index_not_removed"]
    await Indexes(None).discard("shop", "space")
