"""Instrumented frameworks: what they tell of one request is one trace that a person can read."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from capture.trace import Step, Trace

Run = Callable[..., Awaitable[str]]

ORDER = {"type": "string"}


def kinds(trace: Trace) -> list[str]:
    return [step.type for step in trace.steps]


def offered(trace: Trace) -> dict[str, dict[str, Any]]:
    return {tool["name"]: tool for tool in trace.metadata["tools"]}


async def test_openai_through_openinference_with_a_tool_and_a_stream(
    received: Any, run: Run
) -> None:
    await run("openinference_openai.py", OTEL_EXPORTER_OTLP_ENDPOINT=received.url)
    trace = received.trace
    assert (trace.input, trace.output) == ("Where is my order 8812?", "Order 8812 is on its way.")
    assert (trace.session_id, trace.user_id) == ("s-1", "u-1")
    assert (trace.model, trace.tokens_in, trace.tokens_out) == ("gpt-4o-2024-08-06", 22, 10)
    assert kinds(trace) == ["user", "tool_call", "tool_result", "assistant"]
    assert trace.steps[1] == Step(
        type="tool_call", name="find_order", call_id="call_1", arguments={"order": "8812"}
    )
    assert offered(trace)["find_order"] == {
        "name": "find_order",
        "description": "Looks an order up.",
        "parameters": {"type": "object", "properties": {"order": ORDER}},
    }
    assert trace.metadata["finish_reason"] == "stop"


async def test_langchain_through_openinference_with_a_retriever(received: Any, run: Run) -> None:
    await run("openinference_langchain.py", OTEL_EXPORTER_OTLP_ENDPOINT=received.url)
    trace = received.trace
    assert (trace.input, trace.output) == ("Where is my order 8812?", "It is on its way.")
    assert (trace.session_id, trace.user_id) == ("s-1", "u-1")
    assert (trace.tokens_in, trace.tokens_out) == (22, 10)
    assert kinds(trace) == ["user", "retrieval", "tool_call", "tool_result", "assistant"]
    _, retrieval, call, result, _ = trace.steps
    assert retrieval.arguments == "Where is my order 8812?"
    assert retrieval.content == [
        {"content": "Parcels take two days.", "metadata": {"source": "faq"}}
    ]
    assert (call.name, call.call_id, call.arguments) == ("find_order", "call_1", {"order": "8812"})
    assert (result.call_id, result.content) == ("call_1", "order 8812 is sent")


@pytest.mark.parametrize("version", ["2", "5"])
async def test_pydantic_ai_instrumented_by_itself(received: Any, run: Run, version: str) -> None:
    await run(
        "pydantic_ai_agent.py",
        OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
        INSTRUMENTATION_VERSION=version,
    )
    trace = received.trace
    assert (trace.input, trace.output) == ("Where is my order 8812?", "It is on its way.")
    assert (trace.model, trace.session_id is not None) == ("test", True)
    assert trace.tokens_in
    assert kinds(trace) == ["user", "tool_call", "tool_result", "assistant"]
    assert trace.steps[2].content == "order a is sent"
    assert offered(trace)["find_order"]["parameters"]["properties"] == {"order": ORDER}


async def test_the_vercel_ai_sdk_with_a_tool(received: Any, run_node: Run) -> None:
    await run_node("vercel.mjs", OTEL_EXPORTER_OTLP_ENDPOINT=received.url)
    trace = received.trace
    assert (trace.input, trace.output) == ("Where is my order 8812?", "It is on its way.")
    assert (trace.session_id, trace.user_id) == ("s-1", "u-1")
    assert (trace.model, trace.tokens_in, trace.tokens_out) == ("gpt-4o", 22, 10)
    assert kinds(trace) == ["user", "tool_call", "tool_result", "assistant"]
    assert trace.steps[1].arguments == {"order": "8812"}
    assert trace.steps[2].content == {"order": "8812", "state": "sent"}
    assert offered(trace)["find_order"]["parameters"]["properties"] == {"order": ORDER}
    assert trace.metadata["finish_reason"] == "stop"
