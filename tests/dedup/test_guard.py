from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.events import FailingSignal, Failure
from capture.policy import ScoringPolicy
from capture.scorers import examine
from capture.scoring.tool_calls import Tool, ToolCallScorer
from capture.trace import Step, Trace
from dedup.guard import failed_tools, guard_of, tool_calls
from dedup.masks import masked_name

MakeFailure = Callable[..., Failure]
_DEEP = 1000


def called(name: str | None, call_id: str | None = None, **more: Any) -> Step:
    return Step(type="tool_call", name=name, call_id=call_id, **more)


def answered(name: str | None, call_id: str | None = None, **more: Any) -> Step:
    return Step(type="tool_result", name=name, call_id=call_id, **more)


def guard(make_failure: MakeFailure, *steps: Step, fault: str = "model") -> str:
    return guard_of(msgspec.structs.replace(make_failure(steps=steps), fault=fault))


def test_the_guard_is_the_fault_and_the_sorted_tools_that_failed(make_failure: MakeFailure) -> None:
    steps = (called("refund", error="no"), called("find_order"), answered("find_order", error=True))
    assert guard(make_failure, *steps) == "model|find_order,refund"
    assert guard(make_failure, *steps, fault="infrastructure") == (
        "infrastructure|find_order,refund"
    )


def test_where_no_tool_failed_the_guard_names_none(make_failure: MakeFailure) -> None:
    assert guard(make_failure, called("refund"), answered("refund", content="ok")) == "model|"
    assert guard(make_failure, Step(type="assistant", name="chat", error="quota")) == "model|"


def test_an_error_that_a_later_call_made_good_is_no_failure_of_the_tool(
    make_failure: MakeFailure,
) -> None:
    """Agents try again: 7 of 31 recorded sessions that went well have a tool error in them."""
    tried = (called("book", "1"), answered("book", "1", error="not enough seats"))
    again = (called("book", "2"), answered("book", "2", content="booked"))
    assert guard(make_failure, *tried, *again) == "model|"
    assert guard(make_failure, *again, *tried) == "model|book"


def test_answers_find_their_calls_by_id_then_by_name_then_by_place(
    make_failure: MakeFailure,
) -> None:
    by_id = (called("a", "1"), called("b", "2"), answered(None, "1", error=True))
    assert guard(make_failure, *by_id) == "model|a"
    by_name = (called("a"), called("a"), answered("a", error=True), answered("a", content="ok"))
    assert guard(make_failure, *by_name) == "model|"  # the first call's answer, then the last one's
    by_place = (called("a"), answered(None, error=True))
    assert guard(make_failure, *by_place) == "model|a"
    assert guard(make_failure, answered("alone", error=True)) == "model|alone"
    assert guard(make_failure, answered(None, error=True)) == "model|"


@pytest.mark.parametrize(
    ("scorer", "steps", "expected"),
    [
        (ToolCallScorer(tools=(Tool(name="refund"),)), (called("rfund"),), "rfund"),
        (
            ToolCallScorer(tools=(Tool(name="refund", parameters={"required": ["id"]}),)),
            (called("refund", arguments={}),),
            "refund",
        ),
        (ToolCallScorer(), (called("poll", arguments={"a": 1}),) * 3, "poll"),
        (
            ToolCallScorer(tool_error=True),
            (called("pay", "1"), answered("pay", "1", error="x"), called("pay", "2")),
            "pay",
        ),
    ],
)
def test_what_the_tool_call_scorer_finds_names_the_tool(
    scorer: ToolCallScorer, steps: tuple[Step, ...], expected: str
) -> None:
    """With the scorer itself, so that the two cannot drift apart."""
    trace = Trace(trace_id="t", project="shop", steps=steps)
    found = examine(trace, ScoringPolicy(scorers=(scorer,)))
    assert found.signals
    assert guard_of(_failed(trace, found.signals)) == f"model|{expected}"


def test_a_users_signal_of_the_same_name_names_no_tool() -> None:
    said = FailingSignal(
        name="tool_error", scorer="feedback/1", severity="low", reason="-", value="x", source="user"
    )
    failure = _failed(Trace(trace_id="t", project="shop"), (said,))
    assert failed_tools(failure) == []


def _failed(trace: Trace, signals: tuple[FailingSignal, ...]) -> Failure:
    from datetime import UTC, datetime  # noqa: PLC0415 - of this function alone

    return Failure(
        event_id="e",
        trace=trace,
        signals=signals,
        severity="high",
        failed_at=datetime(2026, 1, 1, tzinfo=UTC),
        fault="model",
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("search_v2", "search_v2"),
        ("s3_upload", "s3_upload"),
        ("call_transferagentnow", "call_transferagentnow"),
        ("feedback", "feedback"),
        ("find_order_12345", "find_order_#"),
        ("mcp_0a1b2c3d4e_search", "mcp_#_search"),
        ("123e4567-e89b-12d3-a456-426614174000__get", "#__get"),
        ("toolu_01A2b3c4d5e6f7", "#"),
        ("a,b|c d", "a_b_c_d"),
        ("x\x00\ud800\u202e", "x___"),
    ],
)
def test_ids_in_names_are_masked_and_versions_stay(name: str, expected: str) -> None:
    assert masked_name(name) == expected


def test_the_same_tool_under_other_ids_is_the_same_guard(make_failure: MakeFailure) -> None:
    one = guard(make_failure, called("agent_7f3a9c21_run", error="x"))
    assert one == guard(make_failure, called("agent_0b11e4d9_run", error="x"))


def test_however_many_tools_fail_the_guard_is_bounded_and_tells_them_apart(
    make_failure: MakeFailure,
) -> None:
    many = [called(f"tool_{'x' * (n % 90)}_{chr(97 + n % 26)}", error="x") for n in range(3000)]
    one = guard(make_failure, *many)
    other = guard(make_failure, *many, called("zz_another", error="x"))
    assert len(one) < 700
    assert one != other
    long = "very_long_name_" * 10
    assert guard(make_failure, called(long + "a", error="x")) != guard(
        make_failure, called(long + "b", error="x")
    )


_steps = st.lists(
    st.builds(
        Step,
        type=st.sampled_from(["tool_call", "tool_result", "user"]),
        name=st.none() | st.text(max_size=30),
        call_id=st.none() | st.sampled_from(["1", "2", "3"]),
        error=st.none() | st.booleans() | st.text(max_size=5),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(steps=_steps)
def test_whatever_the_steps_are_the_guard_can_be_stored_and_is_the_same_again(
    make_failure: MakeFailure, steps: list[Step]
) -> None:
    one = guard(make_failure, *steps)
    assert one == guard(make_failure, *steps)
    assert one.startswith("model|")
    assert one.isprintable()
    assert len(one.encode()) < 4000
    assert sum(one_call.result is not None for one_call in tool_calls(tuple(steps))) <= len(steps)
