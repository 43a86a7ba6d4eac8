from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.fitting import LEFT_OUT, beginning, fitted


def test_turns_that_fit_are_all_there() -> None:
    assert fitted(["one", "two"], 7) == ("one two", 0)


def test_of_many_turns_the_first_and_the_last_stay() -> None:
    turns = [
        "I want to change my flight to Oslo",
        *(f"middle {n}" for n in range(200)),
        "no, two bags",
    ]
    text, left_out = fitted(turns, 100)
    assert text.startswith("I want to change my flight to Oslo middle 0")
    assert text.endswith("no, two bags")
    assert LEFT_OUT in text
    assert 180 < left_out < 200


def test_one_turn_more_in_the_middle_changes_nothing() -> None:
    """What is left out is not counted in the text: a longer chat is not another failure."""
    head, tail = ["change my flight " * 4] * 2, ["it does not work " * 4] * 2
    assert fitted([*head, "a", *tail], 120)[0] == fitted([*head, "a", "b", *tail], 120)[0]


def test_a_text_is_cut_between_words() -> None:
    assert beginning("order number 12345 is late", 16) == "order number"
    assert beginning("x" * 50, 16) == "x" * 16
    assert beginning("short", 16) == "short"


@settings(deadline=None)
@given(st.lists(st.text("ab ", min_size=1, max_size=40), max_size=12), st.integers(1, 120))
def test_whatever_the_turns_are_the_text_is_within_its_length(turns: list[str], chars: int) -> None:
    text, left_out = fitted(turns, chars)
    assert len(text) <= chars
    assert 0 <= left_out <= len(turns)
    if len(" ".join(turns)) <= chars:
        assert left_out == 0
