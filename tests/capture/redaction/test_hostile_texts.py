"""Texts made to be slow: each grew with its square, and 200 KB of it took minutes."""

import re
from collections.abc import Callable
from typing import Any

import pytest

BYTES = 100_000


@pytest.mark.parametrize(
    "unit",
    [
        "41555526{n:02d} ",
        "3000000{n:04d} ",
        "password=hunter{n} ",
        "<u{n}@shop.com> ",
        "sk-abcdefghij{n:08d}xyz ",
        "BEGIN PRIVATE KEY ",
        "::a",
        "aa:",
    ],
)
@pytest.mark.timeout(60)
def test_a_text_of_nothing_but_candidates_is_looked_through(
    redacted: Callable[..., Any], unit: str
) -> None:
    text = "".join(unit.format(n=n) for n in range(BYTES // len(unit)))
    assert redacted(text)


@pytest.mark.timeout(60)
def test_an_address_of_a_hundred_thousand_labels_is_looked_through(
    redacted: Callable[..., Any],
) -> None:
    assert "bob@example.com" not in redacted("a." * BYTES + "@x.com bob@example.com")
    assert "bob@example.com" not in redacted("x@" + "a." * BYTES + " bob@example.com")


def test_each_of_thousands_of_secrets_goes_wherever_it_stands_again(
    redacted: Callable[..., Any],
) -> None:
    said = [f"hunter{n}x" for n in range(10_000, 12_000)]
    text = " ".join(f"password={one}" for one in said) + "\n" + "\n".join(reversed(said))
    assert re.search(r"hunter\d", redacted(text)) is None
