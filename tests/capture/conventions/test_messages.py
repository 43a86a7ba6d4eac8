"""Messages of every provider, flattened or whole, are steps."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.conventions.messages import steps_of, text_of
from capture.conventions.shape import unflattened
from capture.events import Span
from capture.trace import Step, Trace


@pytest.mark.parametrize(
    ("message", "step"),
    [
        (
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
            Step(type="tool_result", call_id="c", content="ok"),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": [{"title": "a"}, {"title": "b"}]},
            Step(type="tool_result", call_id="c", content=[{"title": "a"}, {"title": "b"}]),
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c", "content": "no", "is_error": True}
                ],
            },
            Step(type="tool_result", call_id="c", content="no", error=True),
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}],
            },
            Step(type="tool_call", name="f", call_id="c", arguments={"a": 1}),
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
            Step(type="tool_call", name="f", call_id="c", arguments={"a": 1}),
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": "ok"},
            Step(type="tool_result", call_id="c", content="ok"),
        ),
        (
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"r": 1}}}]},
            Step(type="tool_result", name="f", content={"r": 1}),
        ),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]},
            Step(type="reasoning", content="hm"),
        ),
        ({"type": "human", "content": "hi"}, Step(type="user", content="hi")),
        (
            {"lc": 1, "id": ["langchain", "AIMessage"], "kwargs": {"content": "hi"}},
            Step(type="assistant", content="hi"),
        ),
        (
            {"role": "assistant", "content": '{"text": "t", "sure": true}'},
            Step(type="assistant", content='{"text": "t", "sure": true}'),
        ),
    ],
)
def test_messages_of_every_provider_are_steps(message: dict[str, Any], step: Step) -> None:
    assert steps_of([message]) == [step]
    assert steps_of(json.dumps([message])) == [step]


@pytest.mark.parametrize("value", [None, 5, "words", "[1, 2]", [], {}, {"a": 1}, [{"a": 1}], "{"])
def test_what_is_no_message_is_none(value: Any) -> None:
    assert steps_of(value) is None


def test_text_is_found_in_parts_and_left_alone_in_words() -> None:
    assert text_of('[{"type": "text", "text": "a"}, {"type": "image_url"}]') == "a"
    assert text_of("[see above]") == "[see above]"
    assert text_of('[1, 2, "three"]') == '[1, 2, "three"]'


def test_flattened_lists_keep_their_order_and_survive_contradictions() -> None:
    attributes = {"p.10.a": 3, "p.2.a": 2, "p.0.a": 1, "p.0.a.b": 9, "p.2": 5, "q.0": 1}
    assert unflattened(attributes, "p.") == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert unflattened({"p.x": 1}, "p.") is None


def test_the_same_message_in_many_calls_is_read_once_and_told_once(
    span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    asked = {"role": "user", "parts": [{"type": "text", "content": "why?"}]}
    said = {"role": "assistant", "parts": [{"type": "text", "content": "so"}]}
    calls = [
        span(
            number,
            number,
            90,
            parent=1,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json.dumps([asked, said] * number),
            },
        )
        for number in range(2, 5)
    ]
    trace = told(span(1, 0, 99), *calls)
    assert [step.content for step in trace.steps] == ["why?", "so"] * 4
