"""OTLP/JSON, walked by typed structs: positions in messages, unknown fields ignored.

Ids are hexadecimal, 64-bit integers are numbers or strings, enumerations numbers or names, and
any field may be null: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from capture.events import Span
from capture.malformed import UNREADABLE, Malformed, json_trouble
from capture.otlp.gather import (
    SPAN_ID_DIGITS,
    TRACE_ID_DIGITS,
    Decoded,
    Received,
    RejectedSpan,
    gather,
    id_problem,
)
from capture.otlp.json_values import (
    INT64,
    KeyValue,
    Number,
    attributes,
    integer,
    is_digits,
    plain,
    time_ns,
)
from capture.otlp.other_signals import NotTraces

_SPAN_KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(
        ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
    )
}
_STATUS_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


class _Event(msgspec.Struct, rename="camel"):
    name: str | None = None
    time_unix_nano: Number = None
    attributes: list[KeyValue] | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: Number = None
    end_time_unix_nano: Number = None
    attributes: list[KeyValue] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _Scope(msgspec.Struct):
    name: str | None = None


class _ScopeSpans(msgspec.Struct):
    scope: _Scope | None = None
    spans: list[msgspec.Raw] | None = None


class _Resource(msgspec.Struct):
    attributes: list[KeyValue] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None
    instrumentation_library_spans: list[_ScopeSpans] | None = None  # the name until OTLP 0.15


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_request_decoder = msgspec.json.Decoder(_Request)
_span_decoder = msgspec.json.Decoder(_Span)
_keys_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_json(body: bytes, *, header_project: str | None, max_bytes: int) -> Decoded:
    """The pieces in an OTLP/JSON request, each at most `max_bytes` of JSON.

    Raises:
        Malformed: not JSON, or not an ExportTraceServiceRequest; the message has the position.
        NotTraces: a request of another signal.
    """
    try:
        request = _request_decoder.decode(body)
        keys = list(_keys_decoder.decode(body)) if request.resource_spans is None else []
    except UNREADABLE as error:
        message = f"The body is not an OTLP/JSON trace request: {json_trouble(error, body)}"
        raise Malformed(message) from error
    _refuse_other_objects(keys)
    decoded = gather(_spans(request), header_project=header_project, max_bytes=max_bytes)
    if not decoded.pieces and not decoded.rejected and b'_spans"' in body:
        message = "No spans found: OTLP/JSON names fields in lowerCamelCase, e.g. resourceSpans"
        raise Malformed(message)
    return decoded


def _refuse_other_objects(keys: Sequence[str]) -> None:
    """An object with anything in it but no spans is not the empty request it would pass for."""
    for key in keys:
        kind = {
            "resourceLogs": "logs",
            "resourceMetrics": "metrics",
            "resourceProfiles": "profiles",
        }
        if key in kind:
            raise NotTraces(kind[key])  # type: ignore[arg-type] # the three of its Literal
    if keys and keys != ["resourceSpans"]:
        shown = ", ".join(repr(key[:40]) for key in keys[:5])
        message = f"An OTLP/JSON trace request has `resourceSpans`; this object has {shown}"
        raise Malformed(message)


def _spans(request: _Request) -> Iterator[Received | RejectedSpan]:
    for resource_spans in request.resource_spans or ():
        resource = _readable((resource_spans.resource or _Resource()).attributes)
        scopes = resource_spans.scope_spans or resource_spans.instrumentation_library_spans
        for scope_spans in scopes or ():
            scope = (scope_spans.scope or _Scope()).name
            for raw in scope_spans.spans or ():
                yield _received(raw, resource, scope)


def _readable(pairs: list[KeyValue] | None) -> dict[str, Any]:
    """A resource's attributes; one that cannot be read is left out, the spans are what matters."""
    readable: dict[str, Any] = {}
    for pair in pairs or ():
        try:
            readable[pair.key] = plain(pair.value)
        except ValueError:
            continue
    return readable


def _received(
    raw: msgspec.Raw, resource: dict[str, Any], scope: str | None
) -> Received | RejectedSpan:
    try:
        wire = _span_decoder.decode(raw)
    except UNREADABLE as error:
        return RejectedSpan("", "", json_trouble(error, bytes(raw)))
    trace_id, span_id, parent = wire.trace_id or "", wire.span_id or "", wire.parent_span_id or ""
    problem = id_problem("traceId", trace_id, TRACE_ID_DIGITS) or id_problem(
        "spanId", span_id, SPAN_ID_DIGITS
    )
    if problem is None and parent.strip("0"):
        problem = id_problem("parentSpanId", parent, SPAN_ID_DIGITS)
    if problem is not None:
        return RejectedSpan(trace_id[:64], span_id[:64], problem)
    try:
        return Received(resource, trace_id.lower(), _span(wire, scope))
    except ValueError as error:
        return RejectedSpan(trace_id, span_id, str(error))


def _span(wire: _Span, scope: str | None) -> Span:
    named = attributes(wire.attributes)
    if scope:
        named.setdefault("otel.scope.name", scope)
    status = wire.status or _Status()
    parent = (wire.parent_span_id or "").lower()
    return Span(
        span_id=(wire.span_id or "").lower(),
        parent_span_id=parent if parent.strip("0") else None,
        name=wire.name or "",
        kind=_enumerated("kind", wire.kind, _SPAN_KINDS),
        start_ns=time_ns("startTimeUnixNano", wire.start_time_unix_nano),
        end_ns=time_ns("endTimeUnixNano", wire.end_time_unix_nano),
        status_code=_enumerated("status.code", status.code, _STATUS_CODES),
        status_message=status.message or "",
        attributes=named,
        events=tuple(
            {
                "name": event.name or "",
                "time_ns": time_ns("events.timeUnixNano", event.time_unix_nano),
                "attributes": attributes(event.attributes),
            }
            for event in wire.events or ()
        ),
    )


def _enumerated(name: str, value: int | str | None, names: dict[str, int]) -> int:
    if value is None:
        return 0
    if isinstance(value, str) and not is_digits(value):
        if value not in names:
            message = f"{name} must be one of {', '.join(names)}, got {value[:40]!r}"
            raise ValueError(message)
        return names[value]
    number = integer(name, value, INT64)
    return number if number in names.values() else 0  # a newer protocol's: unknown is unspecified
