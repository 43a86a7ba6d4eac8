import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.encoders.hashing import HashingEncoder
from dedup.encoders.identity import EncoderSpec, Identity, parsed, spec_of

names = st.text(st.characters(codec="utf-8"), min_size=1)
words = st.text(st.characters(codec="utf-8", exclude_characters="@/"), min_size=1)


@given(names, words, words, words)
def test_an_identity_comes_apart_into_what_it_was_made_of(
    model: str, revision: str, backend: str, digits: str
) -> None:
    """Names of the hub have slashes, and folders may be called anything."""
    for made in (
        Identity(model, revision, backend),
        Identity(model, revision, f"{backend}@{digits}"),
    ):
        if "@" not in model:
            assert parsed(str(made)) == made
    assert str(parsed(f"{model}@{revision}/{backend}")) == f"{model}@{revision}/{backend}"


def test_a_compiled_identity_says_which_file() -> None:
    one = parsed("BAAI/bge-small-en@0123456789ab/onnx-int8@76b0d6f70fef")
    assert (one.model, one.revision, one.compiled_hash) == (
        "BAAI/bge-small-en",
        "0123456789ab",
        "76b0d6f70fef",
    )


@pytest.mark.parametrize(
    ("identity", "model", "backend"),
    [
        ("a/b@0123/sentence-transformers", "a/b", "sentence-transformers"),
        ("a/b@0123/onnx-int8@4567", "a/b", "onnx"),
        (HashingEncoder.identity, "hashing", "auto"),
    ],
)
def test_what_to_ask_for_is_told_from_the_identity(identity: str, model: str, backend: str) -> None:
    spec = spec_of(identity)
    assert (spec.model, spec.backend, spec.identity) == (model, backend, identity)
    assert spec != EncoderSpec(model)


@pytest.mark.parametrize("text", ["", "model", "model@1", "model/onnx", "@1/x", "m@/x", "m@1/"])
def test_what_is_no_identity_is_refused_with_how_one_looks(text: str) -> None:
    with pytest.raises(ValueError, match="MODEL@REVISION/BACKEND"):
        spec_of(text)


def test_a_backend_of_another_version_is_named() -> None:
    with pytest.raises(ValueError, match="does not have: openvino"):
        spec_of("m@1/openvino")
