"""OpenTelemetry's own exporters, set up by nothing but environment variables."""

import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from capture.trace import Step, Trace

Run = Callable[..., Awaitable[str]]

ASKED_AND_ANSWERED = [("user", "why?"), ("assistant", "so")]


def told(trace: Trace) -> list[tuple[str, Any]]:
    return [(step.type, step.content) for step in trace.steps]


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
async def test_the_python_sdk_needs_one_variable(received: Any, run: Run, compression: str) -> None:
    await run(
        "otel_sdk.py",
        OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
    )
    trace = received.trace
    assert (trace.project, trace.model) == ("default", "gpt-4o")
    assert told(trace) == ASKED_AND_ANSWERED
    assert trace.metadata["finish_reason"] == "stop"


async def test_an_evaluation_event_of_the_python_sdk_is_feedback_on_its_span(
    received: Any, run: Run
) -> None:
    printed = await run("otel_sdk.py", OTEL_EXPORTER_OTLP_ENDPOINT=received.url)
    (feedback,) = received.feedback
    assert feedback.trace_id == received.trace.trace_id
    assert feedback.span_id is not None
    (signal,) = received.trace.signals
    assert (signal.name, signal.value, signal.label) == ("relevance", 0.2, "irrelevant")
    assert (signal.source, signal.comment) == ("evaluation", "off topic")
    assert "Transient error" not in printed  # the ordinary record was not sent again


@pytest.mark.parametrize("prefix", ["", "/api/public/otel", "/otel", "/projects/support"])
async def test_the_sdks_send_to_every_address_that_is_documented(
    received: Any, run: Run, prefix: str
) -> None:
    await run("otel_sdk.py", OTEL_EXPORTER_OTLP_ENDPOINT=received.url + prefix)
    assert received.trace.project == ("support" if "support" in prefix else "default")
    assert len(received.feedback) == 1


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SERVICE_NAME": "support"},
        {"OTEL_RESOURCE_ATTRIBUTES": "evalratchet.project=support"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "x-evalratchet-project=support"},
    ],
)
async def test_a_variable_names_the_project_of_spans_and_evaluations(
    received: Any, run: Run, variables: dict[str, str]
) -> None:
    await run("otel_sdk.py", OTEL_EXPORTER_OTLP_ENDPOINT=received.url, **variables)
    assert {event.project for event in received.events} == {"support"}


@pytest.mark.parametrize("exporter", ["http", "proto"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_the_javascript_sdk_needs_one_variable(
    received: Any, run_node: Run, exporter: str, compression: str
) -> None:
    await run_node(
        "otel.mjs",
        EXPORTER=exporter,
        OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
    )
    trace = received.trace
    assert told(trace) == ASKED_AND_ANSWERED
    assert (trace.model, trace.tokens_in, trace.tokens_out) == ("gpt-4o", 11, 5)


@pytest.mark.parametrize("capture", ["SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"])
async def test_opentelemetrys_openai_instrumentation_is_read_from_spans_and_from_events(
    received: Any, run: Run, capture: str, missing: Callable[[str], None]
) -> None:
    """With EVENT_ONLY what was said comes as log records alone."""
    if importlib.util.find_spec("opentelemetry.util.genai.instruments") is None:
        missing("opentelemetry-instrumentation-openai-v2 needs opentelemetry-util-genai below 1.2")
    await run(
        "opentelemetry_openai.py",
        OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
        OTEL_SEMCONV_STABILITY_OPT_IN="gen_ai_latest_experimental",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=capture,
        OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT=str(capture != "SPAN_ONLY").lower(),
    )
    trace = received.trace
    assert (trace.input, trace.output) == ("Where is my order 8812?", "Order 8812 is on its way.")
    assert (trace.model, trace.tokens_in, trace.tokens_out) == ("gpt-4o-2024-08-06", 22, 10)
    assert list(trace.steps) == [
        Step(type="user", content="Where is my order 8812?"),
        Step(type="tool_call", name="find_order", call_id="call_1", arguments={"order": "8812"}),
        Step(type="tool_result", call_id="call_1", content={"state": "sent"}),
        Step(type="assistant", content="Order 8812 is on its way."),
    ]
    assert trace.metadata["finish_reason"] == "stop"
