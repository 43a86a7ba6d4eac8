"""How requests end: in an error, without an answer, in the middle of one; and whose failure that is."""

from typing import Any

import pytest

from capture.trace import Signal, Step


@pytest.mark.parametrize("output", [None, "", "  \n", {}, [], "null", " {} "])
def test_an_answer_that_says_nothing_is_empty(ask: Any, output: Any) -> None:
    (found,) = ask({"type": "empty_output"}, input="q", output=output)
    assert found.reason in {"The answer is missing.", "The answer is empty."}
    assert found.fault == "model"


@pytest.mark.parametrize("output", ["0", "no", {"a": None}, [None]])
def test_an_answer_that_says_little_is_an_answer(ask: Any, output: Any) -> None:
    assert ask({"type": "empty_output"}, input="q", output=output) == []


def test_where_content_is_left_out_on_purpose_nothing_is_empty(ask: Any) -> None:
    assert ask({"type": "empty_output"}, model="m", steps=(Step(type="assistant"),)) == []


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", " max_output_tokens"])
def test_an_answer_that_was_cut_at_a_limit_is_truncated(ask: Any, reason: str) -> None:
    (found,) = ask({"type": "truncated"}, metadata={"finish_reason": reason})
    assert "cut at a limit" in found.reason
    assert found.fault == "model"


def test_a_trace_that_was_not_whole_when_it_was_scored_is_nobodys_fault(ask: Any) -> None:
    metadata = {"evalratchet.truncated": True, "finish_reason": "stop"}
    (found,) = ask({"type": "truncated"}, metadata=metadata)
    assert (found.value, found.fault) == ("incomplete", "unknown")
    assert ask({"type": "truncated", "incomplete": False}, metadata=metadata) == []


@pytest.mark.parametrize("metadata", [{}, {"finish_reason": "stop"}, {"finish_reason": 7}])
def test_an_answer_that_ended_by_itself_is_whole(ask: Any, metadata: dict[str, Any]) -> None:
    assert ask({"type": "truncated"}, metadata=metadata) == []


THUMB = Signal(name="thumbs", value=False, source="user")
DOWN = {"error.type": "openai.APIStatusError", "error.message": "503 Service Unavailable"}
ALL = ({"type": "error"}, {"type": "feedback"}, {"type": "latency", "above_ms": 1})


def test_a_thumb_down_because_of_an_outage_is_the_infrastructures(examined: Any) -> None:
    found = examined(*ALL, metadata=DOWN, signals=(THUMB,), latency_ms=9.0)
    assert {one.fault for one in found.signals} == {"infrastructure"}
    assert len(found.signals) == 3


def test_what_the_model_did_before_the_outage_stays_the_models(examined: Any) -> None:
    scorer = {"type": "tool_call", "tools": [{"name": "find"}]}
    steps = (Step(type="tool_call", name="finde", arguments={}),)
    found = examined(*ALL, scorer, metadata=DOWN, steps=steps)
    assert {one.name: one.fault for one in found.signals} == {
        "error": "infrastructure",
        "unknown_tool": "model",
    }


def test_an_error_that_nobody_knows_explains_nothing(examined: Any) -> None:
    found = examined(*ALL, metadata={"error.message": "out of cheese"}, signals=(THUMB,))
    assert [one.fault for one in found.signals] == ["unknown", "model"]


def test_a_question_that_was_too_long_explains_the_thumb(examined: Any) -> None:
    metadata = {"error.message": "This model's maximum context length is 8192 tokens"}
    found = examined(*ALL, metadata=metadata, signals=(THUMB,))
    assert {one.fault for one in found.signals} == {"input"}


def test_a_tool_that_timed_out_explains_no_bad_answer(examined: Any) -> None:
    """A good application copes with it; that is worth a test."""
    steps = (Step(type="tool_result", name="carrier", error="Read timed out."),)
    found = examined({"type": "feedback"}, signals=(THUMB,), steps=steps, output="I don't know.")
    assert [one.fault for one in found.signals] == ["model"]
    found = examined({"type": "feedback"}, signals=(THUMB,), steps=steps)
    assert [one.fault for one in found.signals] == ["model"]


def test_a_model_that_never_answered_explains_the_missing_answer(examined: Any) -> None:
    steps = (Step(type="assistant", error="529 overloaded_error: Overloaded"),)
    found = examined({"type": "empty_output"}, input="q", steps=steps)
    assert [one.fault for one in found.signals] == ["infrastructure"]


def test_a_failed_step_has_the_fault_of_its_own_error(examined: Any) -> None:
    scorer = {"type": "error", "step_severity": "low"}
    for text, fault in (("Connection refused", "infrastructure"), ("no seats left", "unknown")):
        found = examined(scorer, steps=(Step(type="tool_result", error=text),))
        assert [one.fault for one in found.signals] == [fault]
