"""OTLP/protobuf to pieces."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from capture.malformed import Malformed
from capture.otlp import Decoded, NotTraces, decode_json, decode_protobuf


def decode(body: bytes) -> Decoded:
    return decode_protobuf(body, header_project=None, max_bytes=1 << 20)


def with_binary_ids(node: Any) -> Any:
    """OTLP/JSON as protobuf's own JSON has it: ids in base64."""
    if isinstance(node, list):
        return [with_binary_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in {"traceId", "spanId", "parentSpanId"} and value
        else with_binary_ids(value)
        for key, value in node.items()
        if value is not None
    }


def binary(request: Any, body: Any) -> bytes:
    encoded: bytes = json_format.ParseDict(
        with_binary_ids(body), request, ignore_unknown_fields=True
    ).SerializeToString()
    return encoded


def test_real_requests_give_the_same_pieces_as_in_json(sample_data: Path) -> None:
    """Event ids too: an exporter may change its protocol between two tries."""
    compared = 0
    for file in sorted((sample_data / "otlp").glob("*.json")):
        text = file.read_bytes()
        if b'"resourceSpans"' not in text[:100]:
            continue
        from_json = decode_json(text, header_project=None, max_bytes=1 << 20)
        encoded = binary(ExportTraceServiceRequest(), json.loads(text))
        assert decode(encoded) == from_json
        compared += len(from_json.pieces)
    assert compared >= 10


@pytest.mark.parametrize(
    ("name", "request_type", "kind"),
    [
        ("otelproto_logs.json", ExportLogsServiceRequest, "logs"),
        ("otelproto_events.json", ExportLogsServiceRequest, "logs"),
        ("otelproto_metrics.json", ExportMetricsServiceRequest, "metrics"),
    ],
)
def test_real_logs_and_metrics_are_named(
    sample_data: Path, name: str, request_type: Any, kind: str
) -> None:
    """They decode as spans without ids, so nothing in the bytes says so by itself."""
    body = json.loads((sample_data / "otlp" / name).read_bytes())
    with pytest.raises(NotTraces, match=f"OTLP {kind} request"):
        decode(binary(request_type(), body))


def test_nothing_is_the_empty_request() -> None:
    assert decode(b"") == Decoded()
    assert decode(ExportTraceServiceRequest().SerializeToString()) == Decoded()


@pytest.mark.parametrize("body", [b"\xff", b"{}", b"hello", b"\x0a\x05ab", b"\x12\x00"])
def test_other_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode(body)


def test_spans_with_bad_ids_are_rejected_one_by_one() -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name="good")
    spans.add(trace_id=b"\1" * 15, span_id=b"\2" * 8)
    spans.add(trace_id=b"\1" * 16, span_id=bytes(8))
    spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, parent_span_id=b"\1")
    decoded = decode(request.SerializeToString())
    assert [span.name for piece in decoded.pieces for span in piece.spans] == ["good"]
    assert [r.reason.split()[1] for r in decoded.rejected] == [
        "trace_id",
        "span_id",
        "parent_span_id",
    ]


def test_bytes_and_infinite_numbers_have_a_form_in_json() -> None:
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, kind=77)
    )
    span.attributes.add(key="bytes").value.bytes_value = b"hi"
    span.attributes.add(key="nan").value.double_value = float("nan")
    span.attributes.add(key="inf").value.double_value = float("-inf")
    span.attributes.add(key="none")
    decoded = decode(request.SerializeToString()).pieces[0].spans[0]
    assert decoded.attributes == {"bytes": "aGk=", "nan": "NaN", "inf": "-Infinity", "none": None}
    assert decoded.kind == 0
