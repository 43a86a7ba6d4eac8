import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.masks import masked_error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connection to 10.0.0.5:5432 refused", "connection to <host> refused"),
        ("no route to fe80::1ff:fe23:4567:890a", "no route to <host>"),
        ("db-7f9c.internal.svc:5432 is down", "<host> is down"),
        ("localhost:8080 refused", "<host> refused"),
        ("openai.RateLimitError: slow down", "openai.RateLimitError: slow down"),
        ("see https://a.b/c?d=1#e now", "see <url> now"),
        ("mail bob.x+1@shop.example failed", "mail <email> failed"),
        ("'/srv/app-12/config.yaml' is missing", "'<path>/config.yaml' is missing"),
        (r"C:\Users\bob\app\refund.py line 42", "<path>/refund.py line <id>"),
        ("/var/x7f/part-0001.bin", "<path>"),
        ("and/or either/or", "and/or either/or"),
        ("2024-05-06T10:11:12.123Z boom", "<date> boom"),
        ("06/May/2024:10:11:12 +0000 GET", "<date> GET"),
        ("at 10:11 am", "at <time>"),
        ("at 0x7f8e1c2d3e in worker-3", "at <hex> in <id>"),
        ("waited 30.5s for req_011CQabc", "waited <id> for <id>"),
        ("price 1,200.50, paid 299", "price <id>, paid <id>"),
        ("order 1234567 and order 12345678", "order <id> and order <id>"),
        ("KeyError: 'order_id'", "KeyError: 'order_id'"),
        ("HTTP 503 from upstream", "HTTP Service Unavailable from upstream"),
        ("status code: 404", "status code: Not Found"),
        ("error code 799", "error code <id>"),
    ],
)
def test_what_differs_between_occurrences_of_an_error_is_masked(text: str, expected: str) -> None:
    assert masked_error(text) == expected


def test_two_statuses_are_two_errors() -> None:
    assert masked_error("HTTP 404") != masked_error("HTTP 500")


@pytest.mark.parametrize(
    "unit",
    ["a.", "a-", "1", "a", "@", "12/", "-", "-1", "a@a.", "http://", "/a", "a:", "1:", "1.", "\\"],
)
def test_a_long_run_of_anything_is_masked_all_the_same(unit: str) -> None:
    """A hundred thousand characters: with a pattern that is quadratic this would take minutes."""
    for tail in ("", "1", "@", "-1"):
        masked = masked_error(unit * (100_000 // len(unit)) + tail)
        assert len(masked) <= 210_000


@settings(deadline=None)
@given(st.text(max_size=200))
def test_masking_raises_nothing_and_is_the_same_again(text: str) -> None:
    assert masked_error(text) == masked_error(text)


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_two_numbers_are_one_mask_whatever_their_length(one: int, two: int) -> None:
    assert masked_error(f"paid {one} euro") == masked_error(f"paid {two} euro")
