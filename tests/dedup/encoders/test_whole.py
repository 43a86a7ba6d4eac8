"""Long texts are read whole. The tokeniser is the bundled model's; its window is 256 tokens."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dedup.encoders.whole import Pieces, pieces_of, pooled, windows

ROOM = 254
SENTENCE = "The reservation was cancelled, but antidisestablishmentarians never got refunds. "


@settings(max_examples=300)
@given(st.integers(2, 3000), st.integers(1, 300), st.integers(1, 8))
def test_windows_leave_nothing_out_and_fit(tokens: int, room: int, per_word: int) -> None:
    if tokens <= room:
        return
    found = windows(tokens, [n // per_word for n in range(tokens)], room)
    assert all(0 <= start < end <= tokens for start, end in found)
    assert all(end - start <= room for start, end in found)
    assert found[0][0] == 0
    assert found[-1][1] == tokens
    if len(found) < 32:
        assert all(a[1] >= b[0] for a, b in pairwise(found))


def test_windows_begin_with_a_word_and_overlap() -> None:
    found = windows(1000, [n // 3 for n in range(1000)], ROOM)
    assert all(start % 3 == 0 for start, _ in found)
    assert all(a[1] - b[0] >= 16 for a, b in pairwise(found))


def test_a_text_that_fits_is_its_own_piece(tokenizer: Tokenizer) -> None:
    texts = ["", "short", SENTENCE * 10]
    pieces = pieces_of(texts, tokenizer, ROOM)
    assert pieces.texts == texts
    assert pieces.owners == [0, 1, 2]


def test_a_long_text_is_cut_at_words_and_every_word_is_in_a_piece(tokenizer: Tokenizer) -> None:
    words = [f"word{n}" for n in range(400)]
    pieces = pieces_of(["first", " ".join(words), "last"], tokenizer, ROOM)
    mine = [t for t, owner in zip(pieces.texts, pieces.owners, strict=True) if owner == 1]
    assert len(mine) > 2
    assert set(words) == {word for piece in mine for word in piece.split()}
    for piece, length in zip(pieces.texts, pieces.lengths, strict=True):
        assert len(tokenizer.encode(piece, add_special_tokens=False)) == length <= ROOM


@pytest.mark.parametrize("text", ["x" * 1_000_000, SENTENCE * 12_000, "\U0001f389" * 100_000])
def test_a_megabyte_is_a_bounded_number_of_windows(tokenizer: Tokenizer, text: str) -> None:
    pieces = pieces_of([text], tokenizer, ROOM)
    assert 1 <= len(pieces.texts) <= 32
    assert text.startswith(pieces.texts[0])
    assert text.rstrip().endswith(pieces.texts[-1].rstrip())


def test_pieces_are_pooled_by_their_length_and_single_ones_left_as_they_are() -> None:
    vectors = np.array([[0.6, 0.8], [1, 0], [0, 1], [0, -1]], dtype=np.float32)
    rows = pooled(vectors, Pieces(["a", "b", "b", "c"], [0, 1, 1, 2], [5, 30, 10, 7], []))
    assert np.array_equal(rows[0], vectors[0])
    assert np.allclose(rows[1], np.array([3, 1]) / np.sqrt(10))
    assert np.array_equal(rows[2], vectors[3])


def test_pieces_that_cancel_out_still_give_a_unit_vector() -> None:
    rows = pooled(
        np.array([[1, 0], [-1, 0]], dtype=np.float32), Pieces(["a", "a"], [0, 0], [9, 9], [])
    )
    assert np.array_equal(rows, [[1, 0]])


def test_what_is_not_a_number_is_not_hidden_by_pooling() -> None:
    vectors = np.array([[1, 0], [np.nan, 0]], dtype=np.float32)
    assert np.isnan(pooled(vectors, Pieces(["a", "a"], [0, 0], [9, 9], []))).any()
