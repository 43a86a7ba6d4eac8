import pytest

from services.store.shapes import padded


@pytest.mark.parametrize(
    ("number", "length"), [(0, 0), (1, 1), (2, 2), (3, 4), (64, 64), (65, 128)]
)
def test_lists_have_few_lengths_and_say_what_they_said(number: int, length: int) -> None:
    names = [f"name-{n}" for n in range(number)]
    assert len(padded(names)) == length
    assert set(padded(names)) == set(names)


def test_a_list_of_many_thousands_stays_what_it_is() -> None:
    """A statement takes 32,767 parameters."""
    assert padded(range(20_000)) == list(range(20_000))
