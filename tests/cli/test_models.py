"""`models`: compiling is done once by the fixture that all tests share, through the command itself."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import Result

from dedup.encoders.compiled import Agreement, Bound, Manifest, verified
from dedup.encoders.port import ModelRefused
from services import compiled_models as keeping
from services.cli import models as models_module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # compiling, on a machine that is busy

Run = Callable[..., Result]


@pytest.fixture
def models(home: Path, compiled_models: Path) -> Path:
    """The folder of compiled models in the home folder, with the bundled model."""
    shutil.copytree(compiled_models, home / "models")
    return home / "models"


def test_compiling_again_what_is_compiled_says_so_and_costs_nothing(
    cli: Run, cli_json: Callable[..., Any], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_module, "_compile", lambda *_: pytest.fail("it is there"))
    shown = cli("models", "compile")
    assert shown.exit_code == 0
    assert "it was compiled already" in shown.stdout
    assert " mean, " in shown.stdout
    document = cli_json("models", "compile", "--bound", "0.98")
    assert document["new"] is False
    assert document["agreement"]["mean"] >= 0.99
    assert len(document["sha256"]) == len(document["reference_sha256"]) == 64


def test_the_list_says_which_is_used_and_that_it_is_whole(
    cli: Run, cli_json: Callable[..., Any], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = cli_json("models", "list")["models"]
    assert (row["used"], row["problem"]) == (True, None)
    assert row["encoder"].startswith("all-MiniLM-L6-v2@53aa51172d14/onnx-int8@")
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_BACKEND", "sentence-transformers")
    (row,) = cli_json("models", "list")["models"]
    assert row["used"] is False
    assert "all-MiniLM-L6-v2" in cli("models", "list").stdout


def test_nothing_compiled_is_said_with_what_to_run(cli: Run) -> None:
    shown = cli("models", "list")
    assert shown.exit_code == 0
    assert "Run `evalratchet models compile`" in shown.stderr


def test_a_backend_that_is_not_compiled_makes_the_list_fail(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_BACKEND", "onnx")
    shown = cli("models", "list")
    assert shown.exit_code == 1
    assert "there is no compiled all-MiniLM-L6-v2" in shown.stderr


def test_a_damaged_one_is_listed_with_what_is_wrong_and_replaced_by_compiling(
    cli: Run, models: Path, compiled_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = models.glob("*/model.onnx")
    file.write_bytes(b"")
    shown = cli("models", "list")
    assert shown.exit_code == 1
    assert "changed or cut off" in shown.stdout + shown.stderr
    (good,) = compiled_models.glob("all-MiniLM*")

    def copied(folder: Path, *_: Any, **__: Any) -> Manifest:
        shutil.copytree(good, folder, dirs_exist_ok=True)
        return verified(good).manifest

    monkeypatch.setattr("dedup.encoders.compile.compile_into", copied)
    assert cli("models", "compile").exit_code == 0
    assert verified(file.parent)
    assert [one.name for one in models.iterdir() if not one.name.startswith(".")] == [good.name]


def test_a_model_that_is_refused_leaves_nothing_behind(
    cli: Run, home: Path, tmp_path: Path
) -> None:
    """Neither a folder that looks compiled, nor the pieces of one."""
    folder = tmp_path / "no-model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"none")
    shown = cli("models", "compile", str(folder))
    assert shown.exit_code == 1
    assert "is not compiled" in shown.stderr
    assert "cannot be loaded" in shown.stderr
    assert [one.name for one in (home / "models").iterdir()] == [".lock"]


def test_a_bound_that_is_not_reached_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    def make(folder: Path) -> Manifest:
        (folder / "model.onnx").write_bytes(b"60 megabytes")
        message = "agrees too little"
        raise ModelRefused(message)

    with keeping.compiling(tmp_path), pytest.raises(ModelRefused):
        keeping.keep(tmp_path, make)
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".comp")] == []


def test_what_a_killed_compiling_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "models" / ".compiling-1").mkdir(parents=True)
    (tmp_path / "models" / ".compiling-1" / "model.onnx").write_bytes(b"half")
    with keeping.compiling(tmp_path / "models"):
        pass
    assert [one.name for one in (tmp_path / "models").iterdir()] == [".lock"]


def test_another_bound_and_sample_of_the_same_file_are_written_down(models: Path) -> None:
    (folder,) = (one for one in models.iterdir() if not one.name.startswith("."))
    before = verified(folder).manifest

    def make(scratch: Path) -> Manifest:
        shutil.copytree(folder, scratch, dirs_exist_ok=True)
        changed = msgspec.structs.replace(
            before, bound=Bound(0.5, 0.4), agreement=Agreement(0.6, 0.5, 2), sample="mine.txt"
        )
        (scratch / "manifest.json").write_bytes(msgspec.json.encode(changed))
        return changed

    with keeping.compiling(models):
        assert keeping.keep(models, make) == folder
    assert verified(folder).manifest.sample == "mine.txt"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), (b"", "is empty"), (b"\xff\xff", "UTF-8")]
)
def test_a_sample_that_cannot_be_used_is_wrong_use(
    cli: Run, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "sample.txt"
    if content is not None:
        file.write_bytes(content)
    shown = cli("models", "compile", "--sample", str(file))
    assert shown.exit_code == 2
    assert said in shown.stderr


def test_hashing_has_nothing_to_compile(cli: Run, home: Path) -> None:
    """So that `make run` may ask without knowing which model it is."""
    shown = cli("models", "compile", "hashing")
    assert shown.exit_code == 0
    assert "nothing to compile" in shown.stderr
    assert not home.exists()


def test_a_folder_that_cannot_be_written_to_is_wrong_use(cli: Run, home: Path) -> None:
    home.write_text("a file")
    shown = cli("models", "compile")
    assert shown.exit_code == 2
    assert "EVALRATCHET_MODELS" in shown.stderr


def test_the_json_of_nothing_is_json(cli: Run) -> None:
    assert json.loads(cli("models", "list", "--json").stdout)["models"] == []
