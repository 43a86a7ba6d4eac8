"""OTLP/JSON log requests, walked by typed structs; as `capture.otlp.json_body` for spans."""

from collections.abc import Iterator
from typing import Any

import msgspec

from capture.malformed import UNREADABLE, Malformed, json_trouble
from capture.otlp.json_values import KeyValue, Number, Value, attributes, plain, time_ns
from capture.otlp.logs import DecodedLogs, LogRecord, sort_out


class _Record(msgspec.Struct, rename="camel"):
    time_unix_nano: Number = None
    observed_time_unix_nano: Number = None
    event_name: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    body: Value | None = None
    attributes: list[KeyValue] | None = None


class _ScopeLogs(msgspec.Struct, rename="camel"):
    log_records: list[msgspec.Raw] | None = None


class _Resource(msgspec.Struct):
    attributes: list[KeyValue] | None = None


class _ResourceLogs(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None
    instrumentation_library_logs: list[_ScopeLogs] | None = None  # the name until OTLP 0.15


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


_request_decoder = msgspec.json.Decoder(_Request)
_record_decoder = msgspec.json.Decoder(_Record)
_keys_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_logs_json(body: bytes, *, header_project: str | None, max_bytes: int) -> DecodedLogs:
    """What becomes of the records in an OTLP/JSON log request.

    Raises:
        Malformed: not JSON, or not an ExportLogsServiceRequest; the message has the position.
    """
    try:
        request = _request_decoder.decode(body)
        keys = list(_keys_decoder.decode(body)) if request.resource_logs is None else []
    except UNREADABLE as error:
        message = f"The body is not an OTLP/JSON logs request: {json_trouble(error, body)}"
        raise Malformed(message) from error
    if keys and keys != ["resourceLogs"]:
        shown = ", ".join(repr(key[:40]) for key in keys[:5])
        hint = "; spans go to /v1/traces" if "resourceSpans" in keys else ""
        message = f"An OTLP/JSON logs request has `resourceLogs`; this object has {shown}{hint}"
        raise Malformed(message)
    return sort_out(_records(request), header_project=header_project, max_bytes=max_bytes)


def _records(request: _Request) -> Iterator[tuple[dict[str, Any], LogRecord | str]]:
    for resource_logs in request.resource_logs or ():
        resource = _readable((resource_logs.resource or _Resource()).attributes)
        for scope in resource_logs.scope_logs or resource_logs.instrumentation_library_logs or ():
            for raw in scope.log_records or ():
                yield resource, _record(raw)


def _readable(pairs: list[KeyValue] | None) -> dict[str, Any]:
    readable: dict[str, Any] = {}
    for pair in pairs or ():
        try:
            readable[pair.key] = plain(pair.value)
        except ValueError:
            continue
    return readable


def _record(raw: msgspec.Raw) -> LogRecord | str:
    try:
        wire = _record_decoder.decode(raw)
        named = attributes(wire.attributes)
        time = time_ns("timeUnixNano", wire.time_unix_nano) or time_ns(
            "observedTimeUnixNano", wire.observed_time_unix_nano
        )
        body = plain(wire.body)
    except UNREADABLE as error:
        return json_trouble(error, bytes(raw))
    except ValueError as error:
        return str(error)
    event = wire.event_name or named.get("event.name")
    return LogRecord(
        event=event if isinstance(event, str) else "",
        trace_id=wire.trace_id or "",
        span_id=wire.span_id or "",
        time_ns=time,
        attributes=named,
        body=body,
    )
