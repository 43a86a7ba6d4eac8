import os
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

import dedup.index
from dedup.index import Index, Row
from services.index_files import IndexFiles


def _index(rows: int = 300) -> Index:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((rows, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(16, 2)
    index.put_many([Row(n + 1, f"p{n}", "g", row) for n, row in enumerate(vectors)])
    index.train()
    return index


@pytest.fixture
def files(tmp_path: Path) -> IndexFiles:
    return IndexFiles(tmp_path / "index")


def test_without_a_file_there_is_no_index_and_no_complaint(files: IndexFiles) -> None:
    with capture_logs() as logs:
        assert files.load("shop", "model@1/text-1") is None
    assert logs == []


@pytest.mark.parametrize("exact", [100, 50_000])
def test_a_saved_index_is_loaded_as_it_was(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch, exact: int
) -> None:
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", exact)
    index = _index()
    files.save("shop", "space", index)
    loaded = files.load("shop", "space")
    assert loaded is not None
    asked = np.eye(16, dtype=np.float32)
    assert loaded.search(asked, ["g"] * 16, 5) == index.search(asked, ["g"] * 16, 5)
    assert (loaded.seq, loaded.geometry) == (300, 2)


def test_projects_and_spaces_have_files_of_their_own(files: IndexFiles) -> None:
    places = [
        ("a", "b/c"),
        ("a-b", "c"),
        ("a", "b-c"),
        ("../../etc", "x"),
        ("プロジェクト", "x"),
        ("x" * 300, "y"),
    ]
    for rows, (project, space) in enumerate(places, start=1):
        files.save(project, space, _index(rows))
    for rows, (project, space) in enumerate(places, start=1):
        loaded = files.load(project, space)
        assert loaded is not None
        assert len(loaded) == rows


@pytest.mark.parametrize("exact", [100, 50_000])
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda _: b"", "does not begin like an index"),
        (lambda _: b"nonsense" * 100, "does not begin like an index"),
        (lambda data: data[:-1], "checksum"),
        (lambda data: data[: len(data) // 2], "checksum"),
        (lambda data: data + b"\0", "checksum"),
        (lambda data: data[:999] + bytes([data[999] ^ 1]) + data[1000:], "checksum"),
    ],
)
def test_a_damaged_file_is_said_once_and_not_used(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch, exact: int, damage, why: str
) -> None:
    monkeypatch.setattr(dedup.index, "EXACT_ROWS", exact)
    files.save("shop", "space", _index())
    path = files.path("shop", "space")
    path.write_bytes(damage(path.read_bytes()))
    with capture_logs() as logs:
        assert files.load("shop", "space") is None
    assert [(log["event"], log["path"]) for log in logs] == [("index_not_used", str(path))]
    assert why in logs[0]["why"]


def test_a_save_that_fails_leaves_what_was_saved_before(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.save("shop", "space", _index(5))

    def full(self: Index, file) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Index, "write", full)
    with pytest.raises(OSError, match="No space left"):
        files.save("shop", "space", _index(6))
    path = files.path("shop", "space")
    assert list(path.parent.iterdir()) == [path]
    loaded = files.load("shop", "space")
    assert loaded is not None
    assert len(loaded) == 5


def test_what_a_process_that_died_has_left_half_written_is_swept_up_an_hour_later(
    files: IndexFiles,
) -> None:
    files.save("shop", "space", _index(5))
    path = files.path("shop", "space")
    old, young = path.with_name("index.bin.17"), path.with_name("index.bin.18")
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    files.save("shop", "space", _index(6))
    assert sorted(path.parent.iterdir()) == [path, young]


def test_a_file_that_is_not_needed_any_more_goes_with_its_folder(files: IndexFiles) -> None:
    files.remove("shop", "space")  # there is none
    files.save("shop", "space", _index())
    files.save("shop", "other", _index())
    files.remove("shop", "space")
    assert files.load("shop", "space") is None
    assert not files.path("shop", "space").parent.exists()
    assert files.load("shop", "other") is not None
