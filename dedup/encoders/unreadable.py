"""What becomes of texts that an English model cannot read: each gets a direction of its own."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dedup.legible import legible


def set_apart(
    rows: np.ndarray,
    texts: Sequence[str],
    encodings: Sequence[Any],
    tokenizer: Any,
    *,
    unknown: str,
) -> None:
    """Give each row whose text the tokeniser's vocabulary does not cover its own direction, in place.

    Near nothing else, such a text is found again by its fingerprint alone.

    Args:
        rows: shape (len(texts), d), float32.
        texts: what the rows are the vectors of.
        encodings: the texts' encodings by the tokeniser, so that it need not read them again.
        tokenizer: a `tokenizers.Tokenizer`.
        unknown: the token that stands for what is not in the vocabulary.
    """
    for number, (whole, encoding) in enumerate(zip(texts, encodings, strict=True)):

        def pieces(text: str, whole: str = whole, encoding: Any = encoding) -> Sequence[str]:
            known = text == whole
            read = encoding if known else tokenizer.encode(text, add_special_tokens=False)
            tokens: list[str] = read.tokens
            return tokens

        if not legible(whole, pieces, unknown=unknown):
            rows[number] = own_direction(whole, rows.shape[1])


def own_direction(text: str, dimension: int) -> np.ndarray:
    """A unit vector, shape (dimension,), float32, that depends on the text's spelling alone.

    Two of them are uniform on the sphere and independent: in 384 dimensions their cosine has mean 0
    and standard deviation 1/sqrt(384), so that a distance below 0.7 never happens.
    """
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
    drawn = np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(dimension)
    unit: np.ndarray = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return unit
