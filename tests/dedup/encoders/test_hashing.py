import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.encoders.hashing import HashingEncoder


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=200), max_size=8))
def test_hashing_gives_every_text_a_unit_vector_that_depends_on_nothing_else(
    texts: list[str],
) -> None:
    encoder = HashingEncoder()
    together = encoder.encode(texts)
    assert together.dtype == np.float32
    assert together.shape == (len(texts), 256)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for row, text in zip(together, texts, strict=True):
        assert np.array_equal(row, encoder.encode([text])[0])


def test_hashing_puts_a_near_spelling_nearer_than_another_sentence() -> None:
    asked, near, far = HashingEncoder().encode(
        ["where is my parcel", "where is my parcel?", "please cancel the subscription"]
    )
    assert asked @ near > 0.8 > asked @ far
