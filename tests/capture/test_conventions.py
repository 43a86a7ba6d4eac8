"""The same exchange, as each convention writes it, is the same trace."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.conventions import CONVENTIONS, first
from capture.conventions.messages import steps_of, text_of
from capture.conventions.shape import unflattened
from capture.events import Span
from capture.trace import Step, Trace

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"id": 8}'}}

WAYS: dict[str, dict[str, Any]] = {
    "genai": {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.conversation.id": "s",
        "user.id": "u",
        "gen_ai.input.messages": json.dumps(
            [
                {"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
                {"role": "user", "parts": [{"type": "text", "content": "why?"}]},
            ]
        ),
        "gen_ai.output.messages": json.dumps(
            [
                {
                    "role": "assistant",
                    "parts": [
                        {"type": "text", "content": "so"},
                        {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"id": 8}},
                    ],
                }
            ]
        ),
    },
    "genai, flattened": {
        "gen_ai.system": "x",
        "gen_ai.request.model": "m",
        "gen_ai.usage.prompt_tokens": "5",
        "gen_ai.usage.completion_tokens": "7",
        "session.id": "s",
        "enduser.id": "u",
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "be kind",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "why?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "so",
        "gen_ai.completion.0.tool_calls.0.id": "c1",
        "gen_ai.completion.0.tool_calls.0.name": "find",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"id": 8}',
    },
    "openinference": {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "llm.token_count.prompt": 5,
        "llm.token_count.completion": 7,
        "session.id": "s",
        "user.id": "u",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "why?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "so",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "find",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"id": 8}',
    },
    "langfuse": {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "m",
        "langfuse.observation.usage_details": '{"input": 5, "output": 7}',
        "langfuse.session.id": "s",
        "langfuse.user.id": "u",
        "langfuse.observation.input": json.dumps([{"role": "user", "content": "why?"}]),
        "langfuse.observation.output": json.dumps(
            {"role": "assistant", "content": "so", "tool_calls": [CALL]}
        ),
    },
    "vercel": {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.id": "m",
        "ai.usage.promptTokens": 5,
        "ai.usage.completionTokens": 7,
        "ai.telemetry.metadata.sessionId": "s",
        "ai.telemetry.metadata.userId": "u",
        "ai.prompt.messages": json.dumps(
            [{"role": "user", "content": [{"type": "text", "text": "why?"}]}]
        ),
        "ai.response.text": "so",
        "ai.response.toolCalls": json.dumps(
            [{"type": "tool-call", "toolCallId": "c1", "toolName": "find", "input": {"id": 8}}]
        ),
    },
    "mlflow": {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.llm.model": '"m"',
        "mlflow.chat.tokenUsage": '{"input_tokens": 5, "output_tokens": 7}',
        "mlflow.trace.session": "s",
        "mlflow.trace.user": "u",
        "mlflow.spanInputs": json.dumps({"messages": [{"role": "user", "content": "why?"}]}),
        "mlflow.spanOutputs": json.dumps(
            {"choices": [{"message": {"role": "assistant", "content": "so", "tool_calls": [CALL]}}]}
        ),
    },
    "pydantic ai": {
        "model_name": "m",
        "agent_name": "a",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "session.id": "s",
        "user.id": "u",
        "all_messages_events": json.dumps(
            [
                {"role": "user", "content": "why?", "event.name": "gen_ai.user.message"},
                {
                    "role": "assistant",
                    "content": "so",
                    "tool_calls": [CALL],
                    "event.name": "gen_ai.assistant.message",
                },
            ]
        ),
    },
    "google adk": {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "gcp.vertex.agent.session_id": "s",
        "user.id": "u",
        "gcp.vertex.agent.llm_request": json.dumps(
            {"contents": [{"role": "user", "parts": [{"text": "why?"}]}]}
        ),
        "gcp.vertex.agent.llm_response": json.dumps(
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "so"},
                        {"function_call": {"id": "c1", "name": "find", "args": {"id": 8}}},
                    ],
                }
            }
        ),
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_one_model_call_in_every_convention(
    way: str, span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    trace = told(span(1, 0, 10), span(2, 1, 9, parent=1, attributes=WAYS[way]))
    assert (trace.input, trace.output, trace.model) == ("why?", "so", "m")
    assert (trace.tokens_in, trace.tokens_out) == (5, 7)
    assert (trace.session_id, trace.user_id) == ("s", "u")
    assert sorted(trace.steps, key=lambda step: step.type) == [
        Step(type="assistant", content="so"),
        Step(type="tool_call", name="find", call_id="c1", arguments={"id": 8}),
        Step(type="user", content="why?"),
    ]


def test_traceloop_entities_are_the_roots_question_and_answer(
    span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    root = {
        "traceloop.span.kind": "workflow",
        "traceloop.entity.input": '{"inputs": {"question": "why?"}, "kwargs": {}}',
        "traceloop.entity.output": '{"outputs": {"answer": 42}, "kwargs": {}}',
    }
    trace = told(span(1, 0, 10, attributes=root))
    assert trace.input == "why?"
    assert trace.output == {"answer": 42}


def test_messages_in_span_events_are_read(
    span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    events = (
        {"name": "gen_ai.system.message", "attributes": {"content": "be kind"}},
        {"name": "gen_ai.user.message", "attributes": {"content": "why?"}},
        {
            "name": "gen_ai.choice",
            "attributes": {"index": 0, "message": '{"role": "assistant", "content": "so"}'},
        },
    )
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    trace = told(span(1, 0, 10, attributes=attributes, events=events))
    assert (trace.input, trace.output) == ("why?", "so")


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


def test_values_that_say_nothing_give_way_to_the_next_convention() -> None:
    attributes = {
        "input.value": "",
        "langfuse.observation.input": "None",
        "mlflow.spanInputs": '"q"',
    }
    assert first(attributes, "input") == "q"


def test_no_two_conventions_disagree_about_what_a_name_means() -> None:
    meanings: dict[str, set[str]] = {}
    for convention in CONVENTIONS:
        for field, names in convention.fields.items():
            for name in names:
                meanings.setdefault(name, set()).add(field)
    both = {name: fields for name, fields in meanings.items() if len(fields) > 1}
    whole_conversations = {"pydantic_ai.all_messages", "all_messages_events"}
    assert both == {
        "ai.prompt": {"input", "input_messages"},
        **{name: {"input_messages", "output_messages"} for name in whole_conversations},
    }
