"""Folders of compiled models and what is wrong with them. The files in here are no real models."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dedup.encoders.compiled import Agreement, Bound, Manifest, find, folders, verified
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import compiled_of
from dedup.encoders.port import ModelRefused
from dedup.encoders.weights import BUNDLED_MODEL, BUNDLED_SHA256, sha256_of

MADE = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Put a compiled model into the folder: whole, unless one of its files is changed after."""

    def made(content: str = "a graph", **changed: Any) -> Path:
        scratch = tmp_path / ".scratch"
        scratch.mkdir()
        (scratch / "model.onnx").write_text(content)
        (scratch / "tokenizer.json").write_text("a tokenizer")
        manifest = Manifest(
            **{
                "model": BUNDLED_MODEL,
                "revision": BUNDLED_SHA256[:12],
                "reference_sha256": BUNDLED_SHA256,
                "sha256": sha256_of(scratch / "model.onnx"),
                "tokenizer_sha256": sha256_of(scratch / "tokenizer.json"),
                "window": 256,
                "dimension": 384,
                "prompt": "",
                "unknown": "[UNK]",
                "english_only": True,
                "bound": Bound(),
                "agreement": Agreement(0.995, 0.98, 100),
                "sample": "built-in",
                "made": MADE,
                "versions": {},
            }
            | changed
        )
        (scratch / "manifest.json").write_bytes(msgspec.json.encode(manifest))
        return scratch.rename(tmp_path / manifest.folder_name)

    return made


def chosen(models: Path, backend: Any = "auto", **spec: Any) -> str | None:
    found = compiled_of(EncoderSpec(spec.pop("model", BUNDLED_MODEL), backend, **spec), models)
    return None if found is None else found.manifest.identity


def test_auto_takes_what_is_compiled_and_nothing_where_nothing_is(
    tmp_path: Path, make: Make
) -> None:
    assert chosen(tmp_path) is None
    assert chosen(tmp_path / "not there") is None
    folder = make()
    digits = sha256_of(folder / "model.onnx")[:12]
    identity = f"{BUNDLED_MODEL}@{BUNDLED_SHA256[:12]}/onnx-int8@{digits}"
    assert chosen(tmp_path) == chosen(tmp_path, "onnx") == identity
    assert chosen(tmp_path, "sentence-transformers") is None
    assert chosen(tmp_path, model="hashing") is None


def test_onnx_that_is_not_compiled_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=f"Run `evalratchet models compile {BUNDLED_MODEL}`"):
        chosen(tmp_path, "onnx")


def test_of_several_the_one_made_last_is_taken_and_an_identity_gets_its_own(
    tmp_path: Path, make: Make
) -> None:
    make("an early graph")
    make("a late graph", made=MADE + timedelta(days=1))
    early, late = (
        verified(next(one for one in folders(tmp_path) if (one / "model.onnx").read_text() == text))
        for text in ("an early graph", "a late graph")
    )
    assert chosen(tmp_path) == late.manifest.identity
    assert chosen(tmp_path, "onnx", identity=early.manifest.identity) == early.manifest.identity


def test_an_identity_whose_file_is_gone_is_never_answered_with_another(
    tmp_path: Path, make: Make
) -> None:
    gone = verified(make()).manifest.identity.replace("onnx-int8@", "onnx-int8@ff")[:-2]
    with pytest.raises(ModelRefused, match=r"there is no compiled .*onnx-int8@ff.* dedup reembed"):
        chosen(tmp_path, "onnx", identity=gone)


def test_what_was_compiled_from_other_weights_is_not_taken(tmp_path: Path, make: Make) -> None:
    """After an upgrade of the model it would still be the old one."""
    make(reference_sha256="0" * 64, revision="0" * 12)
    assert chosen(tmp_path) is None
    assert find(tmp_path, EncoderSpec("elsewhere", "onnx"), "elsewhere") is None


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
def test_a_file_that_is_missing_is_refused_with_what_to_run(
    tmp_path: Path, make: Make, name: str
) -> None:
    (make() / name).unlink()
    for backend in ("auto", "onnx"):
        with pytest.raises(ModelRefused, match="Run `evalratchet models compile") as caught:
            chosen(tmp_path, backend)
        assert name in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"a gr", b"something else altogether"])
def test_a_file_that_was_changed_or_cut_off_is_refused(
    tmp_path: Path, make: Make, name: str, content: bytes
) -> None:
    """Falling back to the reference would move the project to another space without a word."""
    (make() / name).write_bytes(content)
    with pytest.raises(
        ModelRefused, match=r"changed or cut off, and is refused\. Run `evalratchet"
    ):
        chosen(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "m"}', b"\xff\xfe"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, make: Make, content: bytes) -> None:
    (make() / "manifest.json").write_bytes(content)
    with pytest.raises(ModelRefused, match=r"cannot be read .*Run `evalratchet models compile"):
        chosen(tmp_path)


def test_a_manifest_of_a_newer_version_is_refused(tmp_path: Path, make: Make) -> None:
    make(format=2)
    with pytest.raises(ModelRefused, match="newer version of evalratchet"):
        chosen(tmp_path)


def test_what_is_still_being_written_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".compiling-4711").mkdir()
    (tmp_path / ".compiling-4711" / "model.onnx").write_text("half")
    assert list(folders(tmp_path)) == []
    assert chosen(tmp_path) is None


def test_a_model_of_the_hub_has_one_folder_and_its_whole_name(tmp_path: Path, make: Make) -> None:
    folder = make(model="BAAI/bge-small")
    assert folder.parent == tmp_path
    assert chosen(tmp_path, model="BAAI/bge-small") == verified(folder).manifest.identity
    assert chosen(tmp_path, model="bge-small") is None


@pytest.mark.parametrize(
    ("mean", "minimum", "verdict"),
    [(0.99, 0.97, "yes"), (0.989, 0.98, "no"), (0.999, 0.96, "no"), (float("nan"), 1.0, "no")],
)
def test_the_bound_holds_for_the_mean_and_the_worst(
    mean: float, minimum: float, verdict: str
) -> None:
    assert Bound().holds(Agreement(mean, minimum, 10)) is (verdict == "yes")
