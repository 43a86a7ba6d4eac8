"""Clients of Langfuse, Phoenix and LangSmith, pointed here by the variable they have for it."""

from collections.abc import Awaitable, Callable
from typing import Any

Run = Callable[..., Awaitable[str]]


async def test_langfuses_sdk_sends_traces_and_scores(received: Any, run: Run) -> None:
    await run(
        "langfuse_sdk.py",
        LANGFUSE_HOST=f"{received.url}/projects/support",
        LANGFUSE_PUBLIC_KEY="pk-lf-none",
        LANGFUSE_SECRET_KEY="sk-lf-none",  # noqa: S106 - no key is asked for
    )
    trace = received.trace
    assert {event.project for event in received.events} == {"support"}
    assert (trace.input, trace.output) == ("Where is my order 8812?", "It is on its way.")
    assert (trace.session_id, trace.user_id) == ("s-1", "u-1")
    assert (trace.model, trace.tokens_in, trace.tokens_out) == ("gpt-4o", 11, 5)
    assert trace.cost_usd == 0.25
    kinds = [step.type for step in trace.steps]
    assert kinds == ["user", "retrieval", "tool_call", "tool_result", "assistant"]
    assert trace.steps[1].content == [{"content": "Parcels take two days.", "score": 0.9}]
    signals = [(s.name, s.value, s.comment) for s in trace.signals]
    assert signals == [("user-feedback", False, "not there"), ("tone", "rude", None)]
    thumbs, tone, stars = received.feedback
    assert (thumbs.span_id, tone.span_id is not None) == (None, True)
    assert (stars.trace_id, stars.session_id, stars.signal.value) == ("session:s-1", "s-1", 2)


async def test_phoenixs_client_annotates_spans_traces_and_sessions(received: Any, run: Run) -> None:
    await run("phoenix_client.py", PHOENIX_COLLECTOR_ENDPOINT=f"{received.url}/projects/support")
    span, trace, session = received.feedback
    assert {event.project for event in received.events} == {"support"}
    assert (span.trace_id, span.span_id) == ("span:eee19b7ec3c1b174", "eee19b7ec3c1b174")
    said = span.signal
    assert (said.name, said.value, said.label) == ("helpfulness", 0, "unhelpful")
    assert (said.source, said.comment, said.metadata) == (
        "human",
        "It is on its way.",
        {"by": "r-1"},
    )
    assert (trace.trace_id, trace.span_id) == ("4f28115818e38c9ca783053b39f38095", None)
    assert (trace.signal.source, trace.signal.value) == ("judge", "wrong")
    assert (session.trace_id, session.session_id) == ("session:s-1", "s-1")


async def test_langsmiths_sdk_sends_runs_and_feedback(received: Any, run: Run) -> None:
    await run(
        "langsmith_sdk.py",
        LANGSMITH_ENDPOINT=f"{received.url}/projects/support",
        LANGSMITH_API_KEY="none",
        LANGSMITH_TRACING="true",
        LANGSMITH_OTEL_ENABLED="true",
        LANGSMITH_OTEL_ONLY="true",
    )
    trace = received.trace
    assert {event.project for event in received.events} == {"support"}
    assert (trace.input, trace.output) == ("Where is my order 8812?", "It is on its way.")
    assert (trace.session_id, trace.user_id) == ("s-1", "u-1")
    assert (trace.model, trace.tokens_in, trace.tokens_out) == ("gpt-4o", 11, 5)
    kinds = [step.type for step in trace.steps]
    assert kinds == ["user", "retrieval", "tool_call", "tool_result", "assistant"]
    assert trace.steps[1].content == [{"content": "Parcels take two days.", "metadata": {"id": 1}}]
    assert trace.metadata["finish_reason"] == "stop"
    (signal,) = trace.signals
    assert (signal.name, signal.value, signal.comment) == ("user_score", 0, "not there")
    assert signal.correction == {"answer": "It is with the neighbour."}
