"""Texts longer than a model's window are read whole: in windows that overlap, and pooled.

Every encoder cuts the same way, so that a compiled model and its reference see the same pieces.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

_OVERLAP = 32  # tokens: a sentence that one window breaks is whole in the next
_SPARE = (
    4  # tokens: where a window begins inside a word, that word may have more tokens than before
)
_MOST_WINDOWS = 32
"""8,000 tokens of a window of 256, 35,000 characters. Of a longer text as many windows are taken, evenly
spread from its beginning to its end: a megabyte must not hold up everybody else for a minute."""


class Pieces(msgspec.Struct, frozen=True):
    """Texts cut to the window. `owners[i]`: the text that piece `i` is of; `lengths[i]`: its tokens.

    `encodings[n]`: of text `n`, whole and without the tokens that begin and end it.
    """

    texts: list[str]
    owners: list[int]
    lengths: list[int]
    encodings: list[Any]


def pieces_of(texts: Sequence[str], tokenizer: Any, room: int) -> Pieces:
    """Cut the texts that have more tokens than there is room for; the others are their own piece.

    Args:
        texts: any texts.
        tokenizer: a `tokenizers.Tokenizer` that neither cuts nor pads.
        room: tokens that the model reads, without those that begin and end a text.
    """
    pieces = Pieces([], [], [], [])
    for owner, text in enumerate(texts):
        encoding = tokenizer.encode(text, add_special_tokens=False)
        pieces.encodings.append(encoding)
        tokens = len(encoding)
        if tokens <= room:
            spans = [(0, tokens)]
            cut = [text]
        else:
            spans = windows(tokens, encoding.word_ids, room)
            cut = [text[encoding.offsets[a][0] : encoding.offsets[b - 1][1]] for a, b in spans]
        pieces.texts.extend(cut)
        pieces.owners.extend([owner] * len(cut))
        pieces.lengths.extend(end - start for start, end in spans)
    return pieces


def windows(tokens: int, word_ids: Sequence[int | None], room: int) -> list[tuple[int, int]]:
    """Where to cut: ranges of tokens of about the same length, that overlap and leave nothing out.

    Up to `_MOST_WINDOWS`; of a longer text so many full ones, evenly spread.

    Args:
        tokens: how many the text has; more than `room`.
        word_ids: the word that each token is of: a cut is moved to a word's beginning where one is near.
        room: the most tokens of one window.
    """
    most = max(1, room - _SPARE)
    overlap = min(_OVERLAP, most // 4)
    count = math.ceil((tokens - overlap) / (most - overlap))
    size = most if count > _MOST_WINDOWS else math.ceil((tokens + (count - 1) * overlap) / count)
    count = min(count, _MOST_WINDOWS)
    last = tokens - size
    starts = [_word_start(round(last * n / (count - 1)), word_ids, overlap) for n in range(count)]
    return [(start, min(tokens, start + size)) for start in starts[:-1]] + [(starts[-1], tokens)]


def pooled(vectors: np.ndarray, pieces: Pieces) -> np.ndarray:
    """A unit vector for each text: the mean of its pieces', weighted by their tokens.

    Args:
        vectors: shape (len(pieces.texts), d), float32, unit rows.
        pieces: what the rows are the vectors of; every text has one at least.

    Returns:
        Shape (texts, d), float32. The row of a text in one piece is that piece's, to the bit. Where the
        pieces cancel out, what is left has no direction and is that of the first piece.
    """
    owners = np.asarray(pieces.owners)
    firsts = np.flatnonzero(np.diff(owners, prepend=-1))
    rows = vectors[firsts]
    ends = np.append(firsts[1:], len(owners))
    for row in np.flatnonzero(ends - firsts > 1):
        first, end = firsts[row], ends[row]
        weights = np.asarray(pieces.lengths[first:end], dtype=np.float32)
        mean = weights @ vectors[first:end] / weights.sum()
        norm = np.linalg.norm(mean)
        if norm > 1e-6 or not np.isfinite(norm):  # noqa: PLR2004 - float32's own noise is below it
            rows[row] = mean / norm
    return rows


def _word_start(token: int, word_ids: Sequence[int | None], reach: int) -> int:
    """The first token from here on that begins a word; the token itself where none is near."""
    if token == 0:
        return token
    for start in range(token, min(len(word_ids), token + reach // 2)):
        if word_ids[start] != word_ids[start - 1]:
            return start
    return token
