"""The same exchange, as each convention writes it, is the same trace."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.conventions import CONVENTIONS, first
from capture.conventions.documents import documents_of
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
        # LangSmith has every run's inputs and outputs there, a model's or not.
        "gen_ai.prompt": {"input", "input_messages"},
        "gen_ai.completion": {"output", "output_messages"},
        **{name: {"input_messages", "output_messages"} for name in whole_conversations},
    }


AS_EVENTS: dict[str, list[dict[str, Any]]] = {
    "semantic kernel and azure": [
        {
            "name": "gen_ai.user.message",
            "attributes": {"gen_ai.event.content": '{"role": "user", "content": "why?"}'},
        },
        {
            "name": "gen_ai.choice",
            "attributes": {
                "gen_ai.event.content": json.dumps(
                    {"index": 0, "finish_reason": "stop", "message": {"content": "so"}}
                )
            },
        },
    ],
    "strands": [
        {"name": "gen_ai.user.message", "attributes": {"content": '[{"text": "why?"}]'}},
        {
            "name": "gen_ai.choice",
            "attributes": {"finish_reason": "stop", "message": '[{"text": "so"}]'},
        },
    ],
    "operation details": [
        {
            "name": "gen_ai.client.inference.operation.details",
            "attributes": {
                "gen_ai.input.messages": [
                    {"role": "user", "parts": [{"type": "text", "content": "why?"}]}
                ],
                "gen_ai.output.messages": [
                    {
                        "role": "assistant",
                        "parts": [{"type": "text", "content": "so"}],
                        "finish_reason": "stop",
                    }
                ],
            },
        }
    ],
    "openlit": [
        {"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt": "user: why?"}},
        {"name": "gen_ai.content.completion", "attributes": {"gen_ai.completion": "so"}},
    ],
}


@pytest.mark.parametrize("way", AS_EVENTS)
def test_events_of_every_library_tell_the_question_and_the_answer(
    way: str, span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    trace = told(span(1, 0, 10, attributes=attributes, events=tuple(AS_EVENTS[way])))
    assert str(trace.input).endswith("why?")
    assert trace.output == "so"
    if way != "openlit":
        assert trace.metadata["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "events",
    [
        [
            {
                "name": "gen_ai.tool.message",
                "attributes": {"role": "tool", "content": '{"id": 8}', "id": "c1"},
            },
            {"name": "gen_ai.choice", "attributes": {"message": '[{"text": "ok"}]', "id": "c1"}},
        ],
        [
            {
                "name": "gen_ai.client.inference.operation.details",
                "attributes": {
                    "gen_ai.input.messages": json.dumps(
                        [
                            {
                                "role": "tool",
                                "parts": [
                                    {
                                        "type": "tool_call",
                                        "name": "find",
                                        "id": "c1",
                                        "arguments": {"id": 8},
                                    }
                                ],
                            }
                        ]
                    )
                },
            },
            {
                "name": "gen_ai.client.inference.operation.details",
                "attributes": {
                    "gen_ai.output.messages": json.dumps(
                        [
                            {
                                "role": "tool",
                                "parts": [
                                    {
                                        "type": "tool_call_response",
                                        "id": "c1",
                                        "response": [{"text": "ok"}],
                                    }
                                ],
                            }
                        ]
                    )
                },
            },
        ],
    ],
)
def test_a_tools_span_of_strands_has_its_arguments_and_result_in_events(
    events: list[dict[str, Any]], span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "find",
        "gen_ai.tool.call.id": "c1",
    }
    trace = told(span(1, 0, 9), span(2, 1, 8, parent=1, attributes=tool, events=tuple(events)))
    call, result = trace.steps
    assert (call.name, call.call_id, call.arguments) == ("find", "c1", {"id": 8})
    assert (result.call_id, result.content) == ("c1", [{"text": "ok"}])


def test_a_vector_stores_results_are_the_documents_of_a_retrieval(
    span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    found = {
        "name": "db.query.result",
        "attributes": {
            "db.query.result.id": "d1",
            "db.query.result.distance": 0.12,
            "db.query.result.document": "two days",
            "db.query.result.metadata": '{"source": "faq"}',
            "db.query.result.vector": [0.1] * 100,
        },
    }
    store = span(2, 1, 8, parent=1, attributes={"db.vector.query.top_k": 3}, events=(found,))
    (retrieval,) = told(span(1, 0, 9), store).steps
    assert retrieval.type == "retrieval"
    assert retrieval.content == [
        {"content": "two days", "score": 0.12, "id": "d1", "metadata": {"source": "faq"}}
    ]


TOOL = {"name": "find", "description": "Looks up.", "parameters": {"type": "object"}}
SCHEMA = {"type": "object"}
OFFERS: dict[str, dict[str, Any]] = {
    "genai": {"gen_ai.tool.definitions": json.dumps([{"type": "function", **TOOL}])},
    "openai": {"llm.tools": json.dumps([{"type": "function", "function": TOOL}])},
    "openinference": {
        "llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": TOOL})
    },
    "anthropic": {
        "mlflow.chat.tools": json.dumps(
            [{"name": "find", "description": "Looks up.", "input_schema": SCHEMA}]
        )
    },
    "traceloop": {
        "llm.request.functions.0.name": "find",
        "llm.request.functions.0.description": "Looks up.",
        "llm.request.functions.0.parameters": json.dumps(SCHEMA),
    },
    "vercel": {
        "ai.prompt.tools": [
            json.dumps(
                {
                    "type": "function",
                    "name": "find",
                    "description": "Looks up.",
                    "inputSchema": SCHEMA,
                }
            )
        ]
    },
    "pydantic ai": {
        "model_request_parameters": json.dumps(
            {
                "function_tools": [
                    {
                        "name": "find",
                        "description": "Looks up.",
                        "parameters_json_schema": SCHEMA,
                    }
                ],
                "output_tools": [],
            }
        )
    },
    "google": {
        "gcp.vertex.agent.llm_request": json.dumps(
            {"config": {"tools": [{"function_declarations": [TOOL]}]}, "contents": []}
        )
    },
    "bedrock": {
        "gen_ai.tool.definitions": json.dumps(
            {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "find",
                            "description": "Looks up.",
                            "inputSchema": {"json": SCHEMA},
                        }
                    }
                ]
            }
        )
    },
}


@pytest.mark.parametrize("way", OFFERS)
def test_the_tools_a_model_was_offered_are_told_in_one_shape(
    way: str, span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    trace = told(span(1, 0, 9), span(2, 1, 8, parent=1, attributes=OFFERS[way]))
    assert trace.metadata["tools"] == [TOOL]


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


def test_a_retriever_of_langsmith_is_one_although_its_operation_is_called_embeddings(
    span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    run = {
        "langsmith.span.kind": "retriever",
        "gen_ai.operation.name": "embeddings",
        "gen_ai.prompt": '{"query": "parcels"}',
        "gen_ai.completion": '{"documents": [{"page_content": "two days", "metadata": {"n": 1}}]}',
    }
    trace = told(span(1, 0, 9), span(2, 1, 8, parent=1, attributes=run))
    (retrieval,) = (step for step in trace.steps if step.type == "retrieval")
    assert retrieval.arguments == {"query": "parcels"}
    assert retrieval.content == [{"content": "two days", "metadata": {"n": 1}}]


@pytest.mark.parametrize(
    "found",
    [
        [{"document": {"content": "two days", "score": 0.9}}],
        {"documents": [{"page_content": "two days", "score": 0.9}]},
        [{"node": {"text": "two days"}, "score": 0.9}],
        {"matches": [{"text": "two days", "score": 0.9}]},
    ],
)
def test_documents_of_every_framework_have_content_and_score(found: Any) -> None:
    assert documents_of(found) == [{"content": "two days", "score": 0.9}]
    assert documents_of(json.dumps(found)) == [{"content": "two days", "score": 0.9}]


def test_what_is_no_document_is_kept_as_it_is() -> None:
    assert documents_of(["two days", {"a": 1}]) == ["two days", {"a": 1}]
    assert documents_of("two days") is None
    assert documents_of({"answer": "two days"}) is None


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
