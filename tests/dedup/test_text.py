from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from capture.events import Failure
from capture.scorers import ERROR_MESSAGE, ERROR_TYPE
from capture.trace import Step
from dedup.text import failure_text

LONGEST = 700 + 200 + 160 + 2  # three parts and the line breaks between them


def test_every_user_turn_is_in_the_text(make_failure: Callable[..., Failure]) -> None:
    """The first turn alone is the topic; what was wanted is often said later."""
    steps = (
        Step(type="user", content="I want to change my flight"),
        Step(type="assistant", content="Which one?"),
        Step(type="user", content="the one to Oslo, and add a bag"),
    )
    text = failure_text(make_failure(input="ignored when there are turns", steps=steps))
    assert text == "I want to change my flight the one to Oslo, and add a bag"


def test_without_turns_the_input_is_what_was_asked(make_failure: Callable[..., Failure]) -> None:
    assert failure_text(make_failure(input="Where is it?", output="No idea")) == (
        "Where is it?\nNo idea"
    )


def test_a_failed_step_is_told_by_name_and_message(make_failure: Callable[..., Failure]) -> None:
    steps = (
        Step(type="tool_call", name="refund", error="timeout after 30 s"),
        Step(type="tool_result", error=True, content="no such order"),
        Step(type="tool_result", name="fine", error=False, content="left out"),
    )
    assert failure_text(make_failure(input="q", steps=steps)) == (
        "q\nrefund: timeout after 30 s tool_result: no such order"
    )


def test_the_requests_own_error_stands_in_where_no_step_failed(
    make_failure: Callable[..., Failure],
) -> None:
    error = {ERROR_TYPE: "RateLimitError", ERROR_MESSAGE: "too many requests"}
    assert failure_text(make_failure(input="q", metadata=error)) == (
        "q\nRateLimitError too many requests"
    )
    step = Step(type="assistant", name="chat", error="too many requests")
    assert failure_text(make_failure(input="q", metadata=error, steps=(step,))) == (
        "q\nchat: too many requests"
    )


def test_an_error_that_is_not_text_does_not_matter(make_failure: Callable[..., Failure]) -> None:
    """Metadata is whatever JSON a client sent."""
    said: list[object] = [{"code": 5}, ["a"], 7, True]
    for error in said:
        assert "q\n" in failure_text(make_failure(input="q", metadata={ERROR_MESSAGE: error}))
    assert failure_text(make_failure(input="q", metadata={ERROR_MESSAGE: None})) == "q"


def test_who_asked_and_how_long_it_took_change_nothing(
    make_failure: Callable[..., Failure],
) -> None:
    """The text says how a failure happened, not to whom."""
    one = make_failure("t1", input="q", output="a", user_id="u1", latency_ms=10, release="1.0")
    two = make_failure(
        "t2",
        input="q",
        output="a",
        user_id="u2",
        session_id="s",
        latency_ms=9000,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert failure_text(one) == failure_text(two)


def test_the_order_of_keys_in_json_content_changes_nothing(
    make_failure: Callable[..., Failure],
) -> None:
    one = make_failure(input={"a": 1, "b": [2]}, output={"x": 1, "y": 2})
    two = make_failure(input={"b": [2], "a": 1}, output={"y": 2, "x": 1})
    assert failure_text(one) == failure_text(two)


def test_a_failure_without_any_content_has_an_empty_text(
    make_failure: Callable[..., Failure],
) -> None:
    assert failure_text(make_failure()) == ""


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_content = st.none() | st.text(max_size=2000) | st.dictionaries(st.text(), _json, max_size=4)
_steps = st.lists(
    st.builds(
        Step,
        type=st.sampled_from(["user", "assistant", "tool_call", "tool_result"]),
        name=st.none() | st.text(max_size=20),
        content=_content,
        error=st.none() | st.booleans() | st.text(max_size=500),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(asked=_content, answered=_content, steps=_steps)
def test_whatever_is_in_a_trace_the_text_is_short_and_has_no_odd_space(
    make_failure: Callable[..., Failure], asked: object, answered: object, steps: list[Step]
) -> None:
    text = failure_text(make_failure(input=asked, output=answered, steps=tuple(steps)))
    assert len(text) <= LONGEST
    lines = text.split("\n") if text else []
    assert len(lines) <= 3
    for line in lines:
        assert line.strip()
        assert "  " not in line
