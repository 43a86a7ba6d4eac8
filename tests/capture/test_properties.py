"""Whatever comes, decoders raise only what they document, and what they take stays usable."""

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.assemble import assemble
from capture.events import SpansReceived
from capture.experiments import is_experiment
from capture.malformed import Malformed
from capture.native import Refused, decode_captures, decode_feedback
from capture.otlp import NotTraces, decode_json, decode_protobuf
from capture.policy import ScoringPolicy
from capture.scorers import examine
from capture.trace import Trace

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
MAX_BYTES = 4096


def surviving(trace: Trace | None) -> None:
    """A trace can be written, read back the same, and judged."""
    if trace is None:
        return
    assert msgspec.json.decode(msgspec.json.encode(trace), type=Trace) == trace
    assert not examine(trace, ScoringPolicy()).problems
    is_experiment(trace)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_what_is_documented(body: bytes) -> None:
    for decode in (decode_json, decode_protobuf):
        with contextlib.suppress(Malformed, NotTraces):
            decode(body, header_project=None, max_bytes=MAX_BYTES)
    for native in (decode_captures, decode_feedback):
        with contextlib.suppress(Malformed):
            native(body, max_bytes=MAX_BYTES)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a machine with other work to do
@given(st.dictionaries(st.sampled_from(sorted(Trace.__struct_fields__)), anything))
def test_arbitrary_fields_are_taken_or_refused_with_a_reason(fields: dict[str, Any]) -> None:
    body = json.dumps({"trace_id": "t", "project": "p", **fields}).encode()
    with contextlib.suppress(Malformed):  # NaN, which Python writes, is no JSON
        [result] = decode_captures(body, max_bytes=MAX_BYTES)
        if isinstance(result, Refused):
            assert result.message
        else:
            surviving(assemble([result]))


keys = [
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.operation.name",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt.0.role",
    "gen_ai.tool.name",
    "gen_ai.tool.call.id",
    "gen_ai.usage.input_tokens",
    "gen_ai.response.model",
    "openinference.span.kind",
    "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.content",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name",
    "retrieval.documents.0.document.content",
    "input.value",
    "output.value",
    "langfuse.observation.cost_details",
    "langfuse.observation.type",
    "mlflow.spanInputs",
    "session.id",
    "error.type",
]
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "tool", "system", "x"]) | scalars,
            "content": anything,
            "parts": anything,
            "tool_calls": anything,
            "type": st.sampled_from(["tool_call", "tool_result", "thinking", "text"]) | scalars,
            "function": anything,
            "name": anything,
            "id": anything,
        },
    ),
    max_size=4,
)
values = (
    anything
    | messages
    | messages.map(json.dumps)
    | st.sampled_from(["LLM", "TOOL", "RETRIEVER", "AGENT", "chat", "execute_tool", "user"])
)
spans = st.lists(
    st.fixed_dictionaries(
        {"span_id": st.sampled_from("abcd")},
        optional={
            "parent_span_id": st.sampled_from("abcdx"),
            "name": st.text(max_size=10),
            "start_ns": st.integers(0, 2**64 - 1),
            "end_ns": st.integers(0, 2**64 - 1),
            "status_code": st.integers(0, 2),
            "attributes": st.dictionaries(st.sampled_from(keys), values, max_size=8),
            "events": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.sampled_from(
                            ["exception", "gen_ai.choice", "gen_ai.evaluation.result", "x"]
                        ),
                        "attributes": st.dictionaries(
                            st.sampled_from(
                                [
                                    "exception.type",
                                    "exception.message",
                                    "message",
                                    "gen_ai.evaluation.name",
                                    "gen_ai.evaluation.score.value",
                                ]
                            ),
                            values,
                        ),
                    }
                ),
                max_size=2,
            ),
        },
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(spans)
def test_spans_with_anything_in_them_become_a_trace_that_can_be_kept(found: Any) -> None:
    wire = msgspec.json.encode({"event_id": "e", "project": "p", "trace_id": "t", "spans": found})
    try:
        piece = msgspec.json.decode(wire, type=SpansReceived)
    except msgspec.DecodeError:  # a number beyond 64 bits, which no decoder of ours lets through
        return
    surviving(assemble([piece]))
