"""What an encoder is called, so that vectors of two encoders are never compared.

`{model}@{revision}/{backend}`: `all-MiniLM-L6-v2@53aa51172d14/sentence-transformers`, or the same model
compiled, `all-MiniLM-L6-v2@53aa51172d14/onnx-int8@76b0d6f70fef`. Which text was encoded is not the
encoder's business; whoever compares vectors adds it.
"""

from typing import Literal

import msgspec

Backend = Literal["auto", "onnx", "sentence-transformers"]
"""Asked for: `auto` is the compiled model where there is one, else sentence-transformers."""

HASHING_MODEL = "hashing"
REFERENCE_BACKEND = "sentence-transformers"
COMPILED_BACKEND = "onnx-int8"
HASHING_BACKEND = "ngrams-256"
SHORT_HASH = 12  # hexadecimal digits: 48 bits, and nobody has 16 million models


class EncoderSpec(msgspec.Struct, frozen=True):
    """Which encoder is wanted. With an `identity`, that very one and none that only has its name."""

    model: str
    backend: Backend = "auto"
    identity: str | None = None


class Identity(msgspec.Struct, frozen=True):
    """An encoder's identity in its parts; as text it is what is stored.

    `model`: as a person names it; a model from a folder has the folder's name. `revision`: twelve
    digits that change with the model's files. `backend`: with the compiled file's hash, where it is one.
    """

    model: str
    revision: str
    backend: str

    def __str__(self) -> str:
        """The identity as it is stored."""
        return f"{self.model}@{self.revision}/{self.backend}"

    @property
    def compiled_hash(self) -> str | None:
        """The first digits of the compiled file's SHA-256; None where it is not compiled."""
        name, at, digits = self.backend.partition("@")
        return digits if at and name == COMPILED_BACKEND else None


def parsed(identity: str) -> Identity:
    """The parts of an identity; a model's name may itself have slashes and at signs.

    Raises:
        ValueError: it is none; says how one looks.
    """
    rest, slash, backend = identity.rpartition("/")
    model, at, revision = rest.rpartition("@")
    if not (slash and at and model and revision and backend):
        message = f"{identity!r} is no encoder's identity; one looks like MODEL@REVISION/BACKEND"
        raise ValueError(message)
    return Identity(model, revision, backend)


def spec_of(identity: str) -> EncoderSpec:
    """What to ask for to get the encoder that has this identity, and no other.

    Raises:
        ValueError: it is no identity, or of a backend that this version does not have.
    """
    parts = parsed(identity)
    if parts.compiled_hash is not None:
        return EncoderSpec(parts.model, "onnx", identity)
    if parts.backend == REFERENCE_BACKEND:
        return EncoderSpec(parts.model, "sentence-transformers", identity)
    if parts.model == HASHING_MODEL and parts.backend == HASHING_BACKEND:
        return EncoderSpec(HASHING_MODEL, "auto", identity)
    message = f"{identity!r} was made by a backend that this version does not have: {parts.backend}"
    raise ValueError(message)
