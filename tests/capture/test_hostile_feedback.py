"""Decoders of feedback and log records take any bytes: events, or a reason, and never anything else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.feedback.langfuse import decode_ingestion, decode_scores
from capture.feedback.langsmith import decode_langsmith
from capture.feedback.phoenix import decode_annotations
from capture.malformed import Malformed
from capture.otlp import decode_logs_json, decode_logs_protobuf

NOW = datetime(2025, 11, 5, tzinfo=UTC)
BOUNDS: dict[str, Any] = {"project": "p", "max_bytes": 10_000}
NAMES = st.sampled_from(
    [
        *("id", "name", "value", "traceId", "observationId", "sessionId", "dataType", "metadata"),
        *("batch", "type", "body", "timestamp", "data", "span_id", "session_id", "trace_id"),
        *("annotator_kind", "result", "score", "label", "key", "run_id", "correction", "extra"),
        *("resourceLogs", "scopeLogs", "logRecords", "eventName", "attributes", "spanId"),
        *("timeUnixNano", "stringValue", "intValue", "arrayValue", "kvlistValue", "values"),
    ]
)
SAID = st.sampled_from(
    ["score-create", "gen_ai.evaluation.result", "gen_ai.user.message", "BOOLEAN", "LLM", "e" * 32]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | SAID,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=30,
)
BODIES = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())


def langfuse(body: bytes) -> list[Any]:
    return [e for item in decode_scores(body, now=NOW, **BOUNDS)[0] for e in item.events]


def ingestion(body: bytes) -> list[Any]:
    return [e for out in decode_ingestion(body, now=NOW, **BOUNDS) for e in out.item.events]


def phoenix(body: bytes) -> list[Any]:
    return [e for i in decode_annotations(body, "span", now=NOW, **BOUNDS) for e in i.events]


def langsmith(body: bytes) -> list[Any]:
    return list(decode_langsmith(body, now=NOW, **BOUNDS).events)


def logs_json(body: bytes) -> list[Any]:
    return list(decode_logs_json(body, header_project=None, max_bytes=10_000).pieces)


def logs_protobuf(body: bytes) -> list[Any]:
    return list(decode_logs_protobuf(body, header_project=None, max_bytes=10_000).pieces)


def taken(decode: Callable[[bytes], list[Any]], body: bytes) -> list[Any]:
    """The events in a body; none in one that is refused as a whole, which has to say why."""
    try:
        return decode(body)
    except Malformed as error:
        if not str(error):
            raise
        return []


DECODERS = [langfuse, ingestion, phoenix, langsmith, logs_json, logs_protobuf]


@pytest.mark.parametrize("decode", DECODERS)
@given(body=BODIES)
def test_any_bytes_are_events_or_a_reason(
    decode: Callable[[bytes], list[Any]], body: bytes
) -> None:
    for event in taken(decode, body):
        again = msgspec.json.decode(msgspec.json.encode(event), type=type(event))
        assert again == event


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("depth", [200, 100_000])
def test_deep_nesting_is_a_reason(decode: Callable[[bytes], list[Any]], depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    for body in (
        deep,
        b'{"name":"n","value":1,"traceId":"t","metadata":%b}' % deep,
        b'{"batch":[{"id":"e","type":"score-create","body":%b}]}' % deep,
        b'{"data":[{"name":"n","annotator_kind":"LLM","span_id":"a","metadata":%b}]}' % deep,
        b'{"key":"k","trace_id":"t","correction":%b}' % deep,
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":%b}]}]}]}' % deep,
    ):
        assert taken(decode, body) == []


def test_a_number_that_none_can_hold_is_a_reason() -> None:
    body = b'{"key": "stars", "run_id": "r1", "value": ' + b"9" * 400 + b"}"
    with pytest.raises(Malformed, match="larger than any number"):
        langsmith(body)
