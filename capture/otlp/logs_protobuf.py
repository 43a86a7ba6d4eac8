"""OTLP/protobuf log requests, walked over upb's objects; as `capture.otlp.protobuf_body` for spans."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as WireRecord

from capture.malformed import Malformed
from capture.otlp.logs import DecodedLogs, LogRecord, sort_out
from capture.otlp.protobuf_values import attributes_of, plain_value

_TRACE_ID_BYTES = 16


def decode_logs_protobuf(body: bytes, *, header_project: str | None, max_bytes: int) -> DecodedLogs:
    """What becomes of the records in an OTLP/protobuf log request.

    Raises:
        Malformed: not an ExportLogsServiceRequest.
    """
    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        message = f"The body is not a protobuf ExportLogsServiceRequest: {error}{_hint(body)}"
        raise Malformed(message) from error
    decoded = sort_out(_records(request), header_project=header_project, max_bytes=max_bytes)
    if body and not decoded.pieces and (hint := _hint(body)):
        message = f"The body is protobuf, but no ExportLogsServiceRequest{hint}"
        raise Malformed(message)
    if body and not request.resource_logs:
        message = "The body is protobuf, but no ExportLogsServiceRequest: it has no resource_logs"
        raise Malformed(message)
    return decoded


def _hint(body: bytes) -> str:
    """Spans read as log records have nothing of what log records have."""
    traces = ExportTraceServiceRequest()
    try:
        traces.ParseFromString(body)
    except DecodeError:
        return ""
    spans = (
        span
        for resource in traces.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )
    are_spans = any(len(span.trace_id) == _TRACE_ID_BYTES and span.name for span in spans)
    return "; it has spans, which go to /v1/traces" if are_spans else ""


def _records(request: ExportLogsServiceRequest) -> Iterator[tuple[dict[str, Any], LogRecord]]:
    for resource_logs in request.resource_logs:
        resource = attributes_of(resource_logs.resource.attributes)
        for scope in resource_logs.scope_logs:
            for wire in scope.log_records:
                yield resource, _record(wire)


def _record(wire: WireRecord) -> LogRecord:
    attributes = attributes_of(wire.attributes)
    event = wire.event_name or attributes.get("event.name")
    return LogRecord(
        event=event if isinstance(event, str) else "",
        trace_id=wire.trace_id.hex(),
        span_id=wire.span_id.hex(),
        time_ns=wire.time_unix_nano or wire.observed_time_unix_nano,
        attributes=attributes,
        body=plain_value(wire.body),
    )
