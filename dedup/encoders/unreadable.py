"""What becomes of texts that an English model cannot read: each gets a direction of its own."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dedup.legible import legible


def set_apart(rows: np.ndarray, texts: Sequence[str], tokenizer: Any, *, unknown: str) -> None:
    """Give each row whose text the tokeniser's vocabulary does not cover its own direction, in place.

    Near nothing else, such a text is found again by its fingerprint alone.

    Args:
        rows: shape (len(texts), d), float32.
        texts: what the rows are the vectors of.
        tokenizer: a `tokenizers.Tokenizer`.
        unknown: the token that stands for what is not in the vocabulary.
    """

    def pieces(text: str) -> Sequence[str]:
        tokens: list[str] = tokenizer.encode(text, add_special_tokens=False).tokens
        return tokens

    for number, text in enumerate(texts):
        if not legible(text, pieces, unknown=unknown):
            rows[number] = own_direction(text, rows.shape[1])


def own_direction(text: str, dimension: int) -> np.ndarray:
    """A unit vector, shape (dimension,), float32, that depends on the text's spelling alone.

    Two of them are uniform on the sphere and independent: in 384 dimensions their cosine has mean 0
    and standard deviation 1/sqrt(384), so that a distance below 0.7 never happens.
    """
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
    drawn = np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(dimension)
    unit: np.ndarray = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return unit
