"""How many models a process has at work, and what is said of one that is not there."""

from typing import Any

import pytest

from services.encoders import EncoderMissing, Encoders


async def test_the_configured_encoder_is_the_one_that_is_loaded_already(
    encoders: Encoders, embedder: Any
) -> None:
    assert await encoders.of(embedder.encoder) is embedder


async def test_beside_the_configured_one_the_two_that_were_asked_for_last_are_kept(
    encoders: Encoders, embedder: Any, other_embedders: dict[str, Any]
) -> None:
    """A model is hundreds of megabytes; loading it takes seconds, and batches alternate."""
    for name in ("one@1/x", "two@1/x", "three@1/x"):
        other_embedders[name] = type(embedder)(name)
    one, two = await encoders.of("one@1/x"), await encoders.of("two@1/x")
    for _ in range(3):
        assert await encoders.of("two@1/x") is two
        assert await encoders.of("one@1/x") is one
    assert (one.closed, two.closed) == (0, 0)  # type: ignore[attr-defined]
    three = await encoders.of("three@1/x")
    assert (one.closed, two.closed, embedder.closed) == (0, 1, 0)  # type: ignore[attr-defined]
    await encoders.close()
    assert (one.closed, three.closed, embedder.closed) == (1, 1, 1)  # type: ignore[attr-defined]


async def test_one_that_is_refused_is_let_go_and_asked_for_again_later(
    encoders: Encoders, embedder: Any, other_embedders: dict[str, Any]
) -> None:
    gone = other_embedders["gone@1/x"] = type(embedder)("gone@1/x")
    gone.missing = "its file has another hash"
    with pytest.raises(EncoderMissing, match="another hash"):
        await encoders.of("gone@1/x")
    assert gone.closed == 1
    gone.missing = None
    assert await encoders.of("gone@1/x") is gone


async def test_one_of_a_backend_that_is_no_more_is_said_to_be_so(embedder: Any) -> None:
    def unknown(identity: str) -> Any:
        message = f"{identity} was made by a backend that this version does not have"
        raise ValueError(message)

    with pytest.raises(EncoderMissing, match="does not have"):
        await Encoders(embedder, unknown).of("old@1/tensors")
