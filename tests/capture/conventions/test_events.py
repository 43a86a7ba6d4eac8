"""What libraries tell in events of a span."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.events import Span
from capture.trace import Trace


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
