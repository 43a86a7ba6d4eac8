"""Compiling models of BERT's shape, small ones with random weights, and refusing others."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from dedup.encoders.compile import agreement_of, compile_into
from dedup.encoders.compiled import Agreement, Bound, Manifest, verified
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.encoders.onnx import OnnxEncoder
from dedup.encoders.port import ModelRefused
from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.sample import SAMPLE, sample_texts
from dedup.encoders.weights import reference_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOOSE = Bound(0.9, 0.8)
TEXTS = sample_texts()[::9]


def compile_tiny(folder: Path, model: Path, bound: Bound = LOOSE) -> Manifest:
    return compile_into(folder, str(model), texts=TEXTS, sample=SAMPLE, bound=bound, made=NOW)


def test_a_model_in_a_folder_is_compiled_and_agrees(tmp_path: Path, tiny: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    scratch = models / ".compiling-1"
    scratch.mkdir()
    manifest = compile_tiny(scratch, tiny)
    whole = verified(scratch.rename(models / manifest.folder_name))
    assert sorted(file.name for file in whole.folder.iterdir()) == [
        "manifest.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert whole.manifest == manifest
    assert manifest.reference_sha256 == reference_in(tiny).weights_sha256
    assert manifest.agreement.texts == len(TEXTS)
    encoder = load_encoder(EncoderSpec(str(tiny)), models=models, threads=1)
    assert isinstance(encoder, OnnxEncoder)
    assert encoder.identity == manifest.identity
    reference = ReferenceEncoder(str(tiny), threads=1)
    cosines = (encoder.encode(TEXTS) * reference.encode(TEXTS)).sum(axis=1)
    assert np.allclose(
        (cosines.mean(), cosines.min()), (manifest.agreement.mean, manifest.agreement.minimum)
    )
    (tiny_again := tmp_path / "tiny").mkdir()
    shutil.copytree(tiny, tiny_again, dirs_exist_ok=True)
    (tiny_again / "tokenizer_config.json").write_text("{}")
    assert isinstance(
        load_encoder(EncoderSpec(str(tiny_again)), models=models, threads=1), ReferenceEncoder
    )


def test_too_little_agreement_is_refused_with_the_figures(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ModelRefused, match=r"cosine [01]\.\d{4} on average .* lower --bound"):
        compile_tiny(tmp_path, tiny, Bound(1.0, 1.0))


def kinds(folder: Path) -> set[str]:
    import onnx  # noqa: PLC0415 - a second

    return {node.op_type for node in onnx.load(folder / "model.onnx").graph.node}


def test_attention_is_int8_unless_that_agrees_too_little(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, but still without torch: the next best to refusing the model."""
    (int8 := tmp_path / "int8").mkdir()
    (float32 := tmp_path / "float32").mkdir()
    first = compile_tiny(int8, tiny)
    assert "MultiHeadAttention" not in kinds(int8)
    assert {"MatMulInteger", "MatMulIntegerToFloat"} <= kinds(int8)
    measured: list[Agreement] = []

    def too_little_at_first(ours: np.ndarray, theirs: np.ndarray) -> Agreement:
        measured.append(agreement_of(ours, theirs))
        return measured[-1] if len(measured) > 1 else Agreement(0.5, 0.4, len(ours))

    monkeypatch.setattr("dedup.encoders.compile.agreement_of", too_little_at_first)
    second = compile_tiny(float32, tiny)
    assert "MultiHeadAttention" in kinds(float32)
    assert len(measured) == 2
    assert second.sha256 != first.sha256


def test_what_a_model_wants_before_every_text_is_said_to_both(
    tmp_path: Path, make_tiny: Callable[..., Path]
) -> None:
    prompts = {"query": "query: find what is meant by this: "}
    model = make_tiny(2, prompts=prompts, default_prompt_name="query")
    manifest = compile_tiny(tmp_path, model)
    assert manifest.prompt == prompts["query"]
    assert manifest.agreement.minimum > 0.9


def test_a_model_of_another_shape_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds
    from sentence_transformers.sentence_transformer.modules import (  # noqa: PLC0415 - the same
        StaticEmbedding,
    )
    from tokenizers import Tokenizer  # noqa: PLC0415 - the same
    from tokenizers.models import WordLevel  # noqa: PLC0415 - the same
    from tokenizers.pre_tokenizers import Whitespace  # noqa: PLC0415 - the same

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "parcel": 1, "invoice": 2}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = Whitespace()
    model = tmp_path / "static"
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)]).save(str(model))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ModelRefused, match=r"begins with StaticEmbedding, not with a transformer"):
        compile_tiny(out, model)
    assert list(out.iterdir()) == []
    rows = ReferenceEncoder(str(model), threads=1).encode(["parcel", "invoice parcel " * 900])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_folder_that_is_no_model_is_refused_with_what_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelRefused, match=r"cannot be loaded: .* Set EVALRATCHET_EMBEDDING_MODEL"):
        compile_tiny(tmp_path / "out", tmp_path)


def test_a_reference_that_changed_is_not_taken_for_the_one_it_was(
    tmp_path: Path, make_tiny: Callable[..., Path]
) -> None:
    """The project's vectors were made with the one before."""
    before = ReferenceEncoder(str(make_tiny(3)), threads=1)
    changed = EncoderSpec(str(make_tiny(4)), "sentence-transformers", before.identity)
    with pytest.raises(ModelRefused, match="evalratchet dedup reembed"):
        load_encoder(changed, models=tmp_path, threads=1)


def test_a_model_of_the_hub_is_known_by_its_downloaded_files(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name stays the same when its owner uploads another."""
    from huggingface_hub import constants  # noqa: PLC0415 - half a second

    snapshot = tmp_path / "models--ann--tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(tiny, snapshot)
    (tmp_path / "models--ann--tiny" / "refs").mkdir()
    (tmp_path / "models--ann--tiny" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    encoder = load_encoder(
        EncoderSpec("ann/tiny", "sentence-transformers"), models=tmp_path / "none", threads=1
    )
    assert encoder.identity == f"ann/tiny@{reference_in(tiny).revision}/sentence-transformers"
