"""How a model called its tools."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.scoring.tool_calls import ToolCallScorer
from capture.trace import Step, Trace

FIND = {
    "name": "find_flight",
    "parameters": {
        "type": "object",
        "required": ["to"],
        "properties": {"to": {"type": "string"}, "seats": {"type": "integer"}},
    },
}
OFFERED = {"tools": [FIND, {"name": "think"}]}


def call(arguments: Any, name: str = "find_flight", call_id: str | None = None) -> Step:
    return Step(type="tool_call", name=name, arguments=arguments, call_id=call_id)


def result(content: Any, call_id: str | None = None, **more: Any) -> Step:
    return Step(type="tool_result", content=content, call_id=call_id, **more)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seats": 2}, "at $: 'to' is a required property"),
        ('{"to": 5}', "at $.to: 5 is not of type 'string'"),
        ('{"to": "SEA"', "are not JSON"),
        (None, "'to' is a required property"),
        ("", "'to' is a required property"),
    ],
)
def test_arguments_that_do_not_fit_the_tools_schema_fail(
    ask: Any, arguments: Any, said: str
) -> None:
    (found,) = ask({"type": "tool_call"}, metadata=OFFERED, steps=(call(arguments),))
    assert said in found.reason
    assert (found.name, found.value, found.severity) == ("tool_arguments", "find_flight", "high")


def test_arguments_that_fit_and_tools_without_a_schema_pass(ask: Any) -> None:
    steps = (call({"to": "SEA"}), call('{"to": "SEA", "seats": 2}'), call({"x": 1}, "think"))
    assert ask({"type": "tool_call"}, metadata=OFFERED, steps=steps) == []


def test_a_tool_that_was_not_offered_is_unknown(ask: Any) -> None:
    (found,) = ask({"type": "tool_call"}, metadata=OFFERED, steps=(call({}, "find_fligth"),))
    assert "'find_fligth', which is none of the tools it was offered: find_flight, think" in (
        found.reason
    )


@pytest.mark.parametrize("tools", [None, "find", [], [{"no": "name"}], [7]])
def test_where_nobody_knows_the_tools_none_is_unknown(ask: Any, tools: Any) -> None:
    steps = (call({}, "anything"),)
    assert ask({"type": "tool_call"}, metadata={"tools": tools}, steps=steps) == []


def test_tools_may_stand_in_the_policy_and_the_trace_knows_better(ask: Any) -> None:
    stated = {"type": "tool_call", "tools": [FIND]}
    (found,) = ask(stated, steps=(call({}),))
    assert found.name == "tool_arguments"
    looser = {"tools": [{"name": "find_flight", "parameters": {"type": "object"}}]}
    assert ask(stated, steps=(call({}),), metadata=looser) == []


def test_a_call_that_is_repeated_without_learning_anything_fails_once(ask: Any) -> None:
    steps = [
        one for n in range(5) for one in (call({"to": "X"}, call_id=str(n)), result("none", str(n)))
    ]
    (found,) = ask({"type": "tool_call"}, steps=tuple(steps))
    assert "3 times with the same arguments and learnt nothing new" in found.reason
    assert (found.name, found.severity) == ("repeated_call", "medium")
    assert ask({"type": "tool_call", "repeats": 6}, steps=tuple(steps)) == []
    assert ask({"type": "tool_call", "repeated": False}, steps=tuple(steps)) == []


def test_asking_again_until_something_is_ready_is_no_circle(ask: Any) -> None:
    steps = [one for n in range(5) for one in (call({"job": 1}), result(f"{n * 20} %"))]
    assert ask({"type": "tool_call"}, steps=tuple(steps)) == []


def test_answers_may_come_in_another_order_than_the_calls(ask: Any) -> None:
    calls = [call({"to": "X"}, call_id=str(n)) for n in range(3)]
    results = [result(f"answer {n}", str(n)) for n in (2, 0, 1)]
    assert ask({"type": "tool_call"}, steps=(*calls, *results)) == []
    same = [result("answer", str(n)) for n in (2, 0, 1)]
    assert len(ask({"type": "tool_call"}, steps=(*calls, *same))) == 1


def test_a_tool_error_counts_when_it_is_asked_for(ask: Any) -> None:
    steps = (call({}), result(None, name="find_flight", error="no seats"))
    assert ask({"type": "tool_call"}, steps=steps) == []
    (found,) = ask({"type": "tool_call", "tool_error": "low"}, steps=steps)
    assert (found.severity, found.fault) == ("low", "model")
    assert "'find_flight' ended in an error: no seats" in found.reason
    down = (result(None, name="find_flight", error="Read timed out."),)
    (found,) = ask({"type": "tool_call", "tool_error": True}, steps=down)
    assert (found.severity, found.fault) == ("high", "infrastructure")


@pytest.mark.parametrize(
    "schema", [{"type": "objet"}, {"$ref": "https://example.org/x.json"}, {"$ref": "#/nowhere"}]
)
def test_a_schema_of_a_tool_that_cannot_be_used_is_a_problem(
    examined: Any, schema: dict[str, Any]
) -> None:
    tools = [{"name": "find_flight", "parameters": schema}]
    found = examined({"type": "tool_call"}, metadata={"tools": tools}, steps=(call({}),))
    assert found.signals == ()
    assert "the schema of the tool 'find_flight' cannot be used" in found.problems[0].detail


def test_a_scorer_without_any_check_is_refused() -> None:
    checks = dict.fromkeys(["arguments", "unknown_tool", "repeated", "tool_error"], False)
    with pytest.raises(msgspec.ValidationError, match="every check is off"):
        msgspec.convert({"scorers": [{"type": "tool_call", **checks}]}, ScoringPolicy)


def test_no_recorded_session_that_resolved_its_task_goes_in_circles(sample_data: Path) -> None:
    """The measurement behind `repeats` = 3: 0 of 31 good sessions, 4 of 69 bad ones; at 2, 2 and 12."""
    lines = (sample_data / "traces/airline.jsonl").read_bytes().splitlines()
    traces = [msgspec.json.decode(line, type=Trace) for line in lines]
    counts = {}
    for repeats in (2, 3):
        rule = ToolCallScorer(repeats=repeats).rule()
        for outcome in (1, 0):
            of = [t for t in traces if any(s.value == outcome for s in t.signals)]
            counts[repeats, outcome] = (sum(bool(rule(t)) for t in of), len(of))
    assert counts == {(2, 1): (2, 31), (2, 0): (12, 69), (3, 1): (0, 31), (3, 0): (4, 69)}
