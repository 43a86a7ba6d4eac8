"""OTLP/protobuf, walked over upb's objects (json_format costs ten times as much)."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from capture.events import Span
from capture.malformed import Malformed
from capture.otlp.gather import (
    SPAN_ID_DIGITS,
    TRACE_ID_DIGITS,
    Decoded,
    Received,
    RejectedSpan,
    gather,
    id_problem,
)
from capture.otlp.other_signals import NotTraces
from capture.otlp.protobuf_values import attributes_of

_LARGEST_KIND = 5
_LARGEST_STATUS = 2
_TRACE_ID_BYTES = TRACE_ID_DIGITS // 2
_SPAN_ID_BYTES = SPAN_ID_DIGITS // 2


def decode_protobuf(body: bytes, *, header_project: str | None, max_bytes: int) -> Decoded:
    """The pieces in an OTLP/protobuf request, each at most `max_bytes` of JSON.

    Raises:
        Malformed: not an ExportTraceServiceRequest.
        NotTraces: a request of another signal.
    """
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        _refuse_other_signals(body)
        message = f"The body is not a protobuf ExportTraceServiceRequest: {error}"
        raise Malformed(message) from error
    decoded = gather(_spans(request), header_project=header_project, max_bytes=max_bytes)
    if body and not decoded.pieces:
        # Logs and metrics decode as spans without ids, or as nothing at all.
        _refuse_other_signals(body)
        if not request.resource_spans:
            message = (
                "The body is protobuf, but no ExportTraceServiceRequest: it has no resource_spans"
            )
            raise Malformed(message)
    return decoded


def _refuse_other_signals(body: bytes) -> None:
    logs = ExportLogsServiceRequest()
    if _parses(logs, body) and any(
        record.time_unix_nano or record.observed_time_unix_nano or record.severity_number
        for resource in logs.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ):
        raise NotTraces("logs")
    metrics = ExportMetricsServiceRequest()
    if _parses(metrics, body) and any(
        metric.name and metric.WhichOneof("data")
        for resource in metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ):
        raise NotTraces("metrics")


def _parses(message: ExportLogsServiceRequest | ExportMetricsServiceRequest, body: bytes) -> bool:
    try:
        message.ParseFromString(body)
    except DecodeError:
        return False
    return True


def _spans(request: ExportTraceServiceRequest) -> Iterator[Received | RejectedSpan]:
    for resource_spans in request.resource_spans:
        resource = attributes_of(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope.name
            for wire in scope_spans.spans:
                yield _received(wire, resource, scope)


def _received(wire: WireSpan, resource: dict[str, Any], scope: str) -> Received | RejectedSpan:
    trace_id, span_id, parent = wire.trace_id, wire.span_id, wire.parent_span_id
    problem = _ids_problem(trace_id, span_id, parent)
    if problem is not None:
        return RejectedSpan(trace_id.hex()[:64], span_id.hex()[:64], problem)
    attributes = attributes_of(wire.attributes)
    if scope:
        attributes.setdefault("otel.scope.name", scope)
    status, kind = wire.status, wire.kind
    span = Span(
        span_id=span_id.hex(),
        parent_span_id=parent.hex() if any(parent) else None,
        name=wire.name,
        kind=kind if 0 <= kind <= _LARGEST_KIND else 0,
        start_ns=wire.start_time_unix_nano,
        end_ns=wire.end_time_unix_nano,
        status_code=status.code if 0 <= status.code <= _LARGEST_STATUS else 0,
        status_message=status.message,
        attributes=attributes,
        events=tuple([_event(event) for event in wire.events]),
    )
    return Received(resource, trace_id.hex(), span)


def _ids_problem(trace_id: bytes, span_id: bytes, parent: bytes) -> str | None:
    """What is wrong with any of them, or None: lengths first, since it is asked of every span."""
    ids = ("trace_id", trace_id, _TRACE_ID_BYTES), ("span_id", span_id, _SPAN_ID_BYTES)
    for what, value, size in ids:
        if len(value) != size or not any(value):
            return id_problem(what, value.hex(), 2 * size)
    if any(parent) and len(parent) != _SPAN_ID_BYTES:
        return id_problem("parent_span_id", parent.hex(), SPAN_ID_DIGITS)
    return None


def _event(event: WireSpan.Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "time_ns": event.time_unix_nano,
        "attributes": attributes_of(event.attributes),
    }
