"""The same exchange, as each convention writes it, is the same trace."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.conventions import CONVENTIONS, first
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
    "langsmith": {
        "langsmith.span.kind": "llm",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "langsmith.metadata.thread_id": "s",
        "langsmith.metadata.user_id": "u",
        "gen_ai.prompt": json.dumps({"messages": [{"role": "user", "content": "why?"}]}),
        "gen_ai.completion": json.dumps(
            {"choices": [{"message": {"role": "assistant", "content": "so", "tool_calls": [CALL]}}]}
        ),
    },
    "logfire": {
        "request_data": json.dumps(
            {"model": "asked", "messages": [{"role": "user", "content": "why?"}]}
        ),
        "response_data": json.dumps(
            {"message": {"role": "assistant", "content": "so", "tool_calls": [CALL]}}
        ),
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "session.id": "s",
        "user.id": "u",
    },
    "vercel 7": {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "session.id": "s",
        "user.id": "u",
        "gen_ai.system_instructions": '[{"type": "text", "content": "be kind"}]',
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": "why?"}]}]
        ),
        "gen_ai.output.messages": json.dumps(
            [
                {
                    "role": "assistant",
                    "parts": [
                        {"type": "text", "content": "so"},
                        {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"id": 8}},
                    ],
                    "finish_reason": "tool_call",
                }
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


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai.response.finish_reasons": ["stop", "length"]}, "length"),
        ({"gen_ai.response.finish_reasons": '["content_filter"]'}, "content_filter"),
        ({"llm.finish_reason": "max_tokens"}, "max_tokens"),
        ({"ai.response.finishReason": "tool-calls"}, "tool-calls"),
        ({"gen_ai.completion.0.finish_reason": "length"}, "length"),
        ({"langfuse.observation.output": '{"choices": [{"finish_reason": "length"}]}'}, "length"),
        ({"mlflow.spanOutputs": '{"content": "so", "stop_reason": "end_turn"}'}, "end_turn"),
        ({"output.value": "a length of words"}, None),
        ({"output.value": '["a", "length"]'}, None),
    ],
)
def test_why_the_model_stopped_is_told(
    attributes: dict[str, Any],
    reason: str | None,
    span: Callable[..., Span],
    told: Callable[..., Trace],
) -> None:
    chat = {"gen_ai.operation.name": "chat", **attributes}
    trace = told(span(1, 0, 9), span(2, 1, 8, parent=1, attributes=chat))
    assert trace.metadata.get("finish_reason") == reason


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
        # LangSmith has every run's inputs and outputs there, a model's or not.
        "gen_ai.prompt": {"input", "input_messages"},
        "gen_ai.completion": {"output", "output_messages"},
        **{name: {"input_messages", "output_messages"} for name in whole_conversations},
    }
