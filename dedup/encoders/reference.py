"""The reference backend: whatever sentence-transformers loads, by name or from a folder.

torch costs seconds and hundreds of megabytes: it is imported when a model is loaded, not before.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from dedup.encoders.identity import REFERENCE_BACKEND, Identity
from dedup.encoders.port import ModelRefused
from dedup.encoders.unreadable import set_apart
from dedup.encoders.weights import (
    BUNDLED_MODEL,
    Reference,
    cached_reference,
    local_reference,
    shown_name,
)
from dedup.encoders.whole import pieces_of, pooled

_BATCH = 32  # of 8 to 64 within 5 % of each other on two cores; see docs/benchmarks.md
_LONGEST_WINDOW = 1 << 20  # tokenisers without a limit say 1e30


class ReferenceEncoder:
    """A model that runs through sentence-transformers on the CPU."""

    concurrent = False  # torch has threads of its own

    def __init__(self, name: str, *, threads: int) -> None:
        """Load it; seconds, and hundreds of megabytes. Raises ModelRefused."""
        located = local_reference(name)
        self.model: Any = _loaded(name if located is None else str(located.folder), name, threads)
        self.source: Reference = located or _downloaded(name)
        self.identity = str(Identity(shown_name(name), self.source.revision, REFERENCE_BACKEND))
        self.english_only = name == BUNDLED_MODEL
        self.tokenizer: Any = _own_tokenizer(self.model)
        self.prompt = _default_prompt(self.model)

    @property
    def window(self) -> int | None:
        """Tokens that the model reads, with those that begin and end a text; None where it has no limit."""
        length = self.model.max_seq_length
        return length if length and length < _LONGEST_WINDOW else None

    @property
    def dimension(self) -> int:
        """Numbers of one vector."""
        new = getattr(self.model, "get_embedding_dimension", None)  # the name since version 6
        return int((new or self.model.get_sentence_embedding_dimension)())

    @property
    def unknown(self) -> str:
        """The token that stands for what is not in the vocabulary."""
        return str(self.model.tokenizer.unk_token)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), d), float32, unit rows; long texts are read whole.

        The bundled model reads English. A text it cannot read gets a direction of its own, drawn
        from the text's hash: near nothing else, and so found again by its fingerprint alone.
        """
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        if self.tokenizer is None or self.window is None:
            return self._encoded(list(texts))
        pieces = pieces_of(texts, self.tokenizer, room_of(self.tokenizer, self.window, self.prompt))
        rows = pooled(self._encoded(pieces.texts), pieces)
        if self.english_only:
            set_apart(rows, texts, pieces.encodings, self.tokenizer, unknown=self.unknown)
        return rows

    def _encoded(self, texts: list[str]) -> np.ndarray:
        vectors = self.model.encode(
            texts,
            batch_size=_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)


def room_of(tokenizer: Any, window: int, prompt: str) -> int:
    """Tokens of the text itself that fit into a window beside what begins and ends it."""
    before = len(tokenizer.encode(prompt, add_special_tokens=False)) if prompt else 0
    return max(1, window - int(tokenizer.num_special_tokens_to_add(False)) - before)  # noqa: FBT003 - no pair


def _loaded(source: str, name: str, threads: int) -> Any:
    if source != name or os.path.isdir(source):  # noqa: PTH112 - as sentence-transformers asks it
        os.environ["HF_HUB_OFFLINE"] = "1"  # a local folder needs no hub, and must not wait for one
    import torch  # noqa: PLC0415 - seconds; see the module's docstring
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - the same
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415 - the same

    torch.set_num_threads(threads)
    disable_progress_bar()  # type: ignore[no-untyped-call]  # not annotated
    try:
        return SentenceTransformer(source, device="cpu")
    except Exception as error:
        message = (
            f"embedding model {name!r} cannot be loaded: {error}. Set EVALRATCHET_EMBEDDING_MODEL "
            f"to {BUNDLED_MODEL} (bundled), or to a folder or name that sentence-transformers loads."
        )
        raise ModelRefused(message) from error


def _downloaded(name: str) -> Reference:
    source = cached_reference(name)
    if source is None:
        message = (
            f"the files of embedding model {name!r} cannot be found where the hub's libraries keep "
            "them, so nobody could tell one version of it from the next. Download it into a folder, "
            "and set EVALRATCHET_EMBEDDING_MODEL to that folder."
        )
        raise ModelRefused(message)
    return source


def _own_tokenizer(model: Any) -> Any:
    """A copy that neither cuts nor pads; None where the model has none of that kind."""
    backend = getattr(getattr(model, "tokenizer", None), "backend_tokenizer", None)
    if backend is None:
        return None
    from tokenizers import Tokenizer  # noqa: PLC0415 - only where a model is

    own: Any = Tokenizer.from_str(backend.to_str())
    own.no_truncation()
    own.no_padding()
    return own


def _default_prompt(model: Any) -> str:
    """What the model wants before every text; most want nothing."""
    name = getattr(model, "default_prompt_name", None)
    return str(model.prompts.get(name, "")) if name is not None else ""
