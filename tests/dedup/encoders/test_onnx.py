"""The compiled model against its reference: both real, the compiled one made by the command."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dedup.encoders.onnx import OnnxEncoder
from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.weights import BUNDLED_MODEL, BUNDLED_SHA256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # compiling, on a machine that is busy

TEXTS = (
    "Where is my parcel?",
    "I want to know where my package is",
    "Cancel my subscription\nupdate_plan: permission denied",
    "The flight to Denver was booked twice and only one of the two bookings can be seen. " * 6,
    "",
    "42",
)
FILLER = "The agent said that it would look into the matter and call back soon. " * 60


def test_the_compiled_model_agrees_with_its_reference(
    compiled: OnnxEncoder, reference: ReferenceEncoder
) -> None:
    one, other = compiled.encode(TEXTS), reference.encode(TEXTS)
    assert one.dtype == other.dtype == np.float32
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-4)
    cosines = (one * other).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.985
    assert not np.array_equal(one, other)


def test_both_name_the_weights_and_differ_in_the_backend(
    compiled: OnnxEncoder, reference: ReferenceEncoder
) -> None:
    """So that vectors of the two are never compared."""
    same = f"{BUNDLED_MODEL}@{BUNDLED_SHA256[:12]}/"
    assert reference.identity == f"{same}sentence-transformers"
    assert compiled.identity.startswith(f"{same}onnx-int8@")


def test_a_compiled_vector_depends_on_nothing_but_the_text(compiled: OnnxEncoder) -> None:
    """A failure that comes again in other company must be at distance nought from itself."""
    together = compiled.encode(TEXTS)
    for row, text in zip(together, TEXTS, strict=True):
        assert np.array_equal(row, compiled.encode([text])[0])


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_the_end_of_a_long_text_counts(backend: str, request: pytest.FixtureRequest) -> None:
    """Cut to the window of 256 tokens, these two would be equal."""
    encoder = request.getfixturevalue(backend)
    parcel, invoice, question = encoder.encode(
        [
            FILLER + "Where is my parcel? The parcel has not been delivered. " * 20,
            FILLER + "The invoice is wrong, please correct the amount of the invoice. " * 20,
            "Where is my parcel?",
        ]
    )
    assert parcel @ invoice < 0.95
    assert parcel @ question > invoice @ question + 0.1


def test_long_texts_are_pooled_alike_by_both(
    compiled: OnnxEncoder, reference: ReferenceEncoder
) -> None:
    texts = [FILLER + TEXTS[0], FILLER * 3, "parcel " * 700]
    *told, one_word = (compiled.encode(texts) * reference.encode(texts)).sum(axis=1)
    assert min(told) > 0.99
    assert one_word > 0.97  # every token's value is rounded alike: nothing of it averages out


def test_what_the_model_cannot_read_is_apart_and_the_same_in_both(
    compiled: OnnxEncoder, reference: ReferenceEncoder
) -> None:
    texts = ["注文した荷物はどこですか", "パスワードを忘れました", "مرحبا، أين طلبي؟"]
    one, other = compiled.encode(texts), reference.encode(texts)
    assert np.array_equal(one, other)
    assert np.abs(one @ one.T - np.eye(3)).max() < 0.3


def test_nothing_to_encode_is_no_vectors(
    compiled: OnnxEncoder, reference: ReferenceEncoder
) -> None:
    assert compiled.encode([]).shape == reference.encode([]).shape == (0, 384)


def test_a_compiled_model_runs_without_torch(compiled_models: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dedup.encoders.identity import EncoderSpec\n"
        "from dedup.encoders.loading import load_encoder\n"
        f"spec = EncoderSpec({BUNDLED_MODEL!r})\n"
        f"encoder = load_encoder(spec, models=Path({str(compiled_models)!r}), threads=1)\n"
        "assert encoder.encode(['where is my parcel']).shape == (1, 384)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
