"""The API as its page and its OpenAPI document tell it. Handlers read raw bodies: this is by hand."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from capture.native import Feedback
from capture.trace import Trace
from services.http import examples

API_VERSION = version("evalratchet")

INTRODUCTION = """
Send what your application did; what failed becomes an eval case, once.

* **2xx means stored.** The answer comes after the stream has your data durably. Anything else says
  what to change (4xx) or when to send it again (503, `Retry-After`).
* **Sending twice is harmless.** Ids are derived from what is sent.
* **Bodies** may be compressed (`Content-Encoding: gzip` or `deflate`).
"""

_OPENAPI = "3.0.3"  # the newest that the bundled page reads
_REF = "#/components/schemas/{name}"
_ERROR_REF = {"$ref": _REF.format(name="Error")}
_PROTOBUF = "application/x-protobuf"

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "for programs"},
                "message": {"type": "string", "description": "for people: what to change"},
                "detail": {"description": "what only some need"},
            },
        }
    },
}
_RESULT_SCHEMA = {
    "type": "object",
    "required": ["index", "status"],
    "properties": {
        "index": {"type": "integer", "description": "place in the request, from 0"},
        "status": {"type": "string", "enum": ["accepted", "rejected"]},
        "event_id": {"type": "string", "description": "derived: the same when sent again"},
        "trace_id": {"type": "string", "nullable": True},
        "ignored": {
            "type": "array",
            "items": {"type": "string"},
            "description": "names in the item that mean nothing here: misspelt? Only when there are",
        },
        "error": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
_RESULTS_SCHEMA = {
    "type": "object",
    "required": ["results", "accepted", "rejected"],
    "properties": {
        "results": {"type": "array", "items": {"$ref": _REF.format(name="Result")}},
        "accepted": {"type": "integer"},
        "rejected": {"type": "integer"},
    },
}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ERROR_REF}}}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("The request cannot be read; the message says where"),
    408: _error("The body did not arrive in time"),
    413: _error("More bytes than are taken in one request, after decompression"),
    415: _error("A content type or encoding that is not read here"),
    503: {
        **_error("Not stored; send it again after `Retry-After` seconds"),
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
    },
}


def _body(schema: dict[str, Any], **named: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "examples": named}}
    return {"requestBody": {"required": True, "content": content}}


def _one_or_many(name: str, many: str) -> dict[str, Any]:
    one = {"$ref": _REF.format(name=name)}
    several = {
        "type": "object",
        "required": [many],
        "properties": {many: {"type": "array", "items": one}},
    }
    return {"oneOf": [one, several]}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


_KEY = _header(
    "Idempotency-Key",
    "Names a single object: sent again with the same key it is the same event, whatever it says. "
    "Not needed for repeating a request as it was.",
)
_CONTEXT = _header("traceparent", "W3C trace context, carried along to the case.")
_TAKEN = {
    "description": "At least one item is stored; the others say why not. An empty list is answered "
    "with no results: there was nothing to store",
    "content": {
        "application/json": {
            "schema": {"$ref": _REF.format(name="Results")},
            "example": examples.ACCEPTED,
        }
    },
}

CAPTURES: dict[str, Any] = {
    "summary": "Send traces in the native format",
    "description": 'One trace, or many as `{"traces": [...]}`. Each item is judged on its own.',
    "status_code": 202,
    "responses": {202: _TAKEN, **_ERRORS, 422: _error("Readable, but no item could be taken")},
    "openapi_extra": {
        **_body(
            _one_or_many("Trace", "traces"),
            smallest=examples.SMALLEST_TRACE,
            one=examples.ONE_TRACE,
            several=examples.TRACES,
        ),
        "parameters": [_KEY, _CONTEXT],
    },
}

FEEDBACK: dict[str, Any] = {
    "summary": "Say how a trace went",
    "description": (
        'A signal about a trace that was, or will be, sent; many as `{"feedback": [...]}`. '
        "`source` is `user` unless you say otherwise."
    ),
    "status_code": 202,
    "responses": {202: _TAKEN, **_ERRORS, 422: _error("Readable, but no item could be taken")},
    "openapi_extra": {
        **_body(
            _one_or_many("Feedback", "feedback"),
            one=examples.ONE_FEEDBACK,
            several=examples.FEEDBACKS,
        ),
        "parameters": [_KEY, _CONTEXT],
    },
}

_OTLP_SCHEMA = {
    "type": "object",
    "description": "ExportTraceServiceRequest of OTLP",
    "properties": {"resourceSpans": {"type": "array", "items": {"type": "object"}}},
}
_BINARY = {"type": "string", "format": "binary"}
_OTLP_ANSWER = {
    "type": "object",
    "properties": {
        "partialSuccess": {
            "type": "object",
            "properties": {
                "rejectedSpans": {"type": "string"},
                "errorMessage": {"type": "string"},
            },
        }
    },
}

TRACES: dict[str, Any] = {
    "summary": "Send OpenTelemetry spans (OTLP/HTTP)",
    "description": (
        "What an OTLP exporter posts, JSON or protobuf; spans are assembled into traces by trace id. "
        "The project is the resource attribute `evalratchet.project`, else the header "
        "`x-evalratchet-project`, else `service.name`, else `default`. Answers are in the "
        "request's content type; an error is a google.rpc.Status."
    ),
    "responses": {
        200: {
            "description": "Stored. Spans that were not taken are counted in `partialSuccess`",
            "content": {
                "application/json": {"schema": _OTLP_ANSWER, "example": {}},
                _PROTOBUF: {"schema": _BINARY},
            },
        },
        **_ERRORS,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _OTLP_SCHEMA,
                    "examples": {"one": examples.ONE_OTLP},
                },
                _PROTOBUF: {"schema": _BINARY},
            },
        },
        "parameters": [
            _header("x-evalratchet-project", "The project of spans whose resource names none."),
            _CONTEXT,
        ],
    },
}

_STATE = {"content": {"application/json": {"schema": {"type": "object"}}}}

HEALTH: dict[str, Any] = {
    "summary": "Whether the process should be left alone",
    "responses": {
        200: {"description": "Every loop turns, or stopped itself for a person to look", **_STATE},
        503: {"description": "A loop is stuck: restart the process", **_STATE},
    },
}
READY: dict[str, Any] = {
    "summary": "Whether the process is up and takes requests",
    "description": (
        "Always 200 once the process listens; it does not ask the stream. While the stream is away "
        "posts are answered 503 with `Retry-After`: look at the stages of `/healthz` and the logs."
    ),
    "responses": {200: {"description": "The process takes requests", **_STATE}},
}
METRICS: dict[str, Any] = {
    "summary": "Metrics in Prometheus' format",
    "responses": {
        200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
}


def openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What makes the application's OpenAPI document: its routes, and our types as schemas."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    return document


def _document(app: FastAPI) -> dict[str, Any]:
    described = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=_OPENAPI,
        description=app.description,
        routes=app.routes,
    )
    _, ours = msgspec.json.schema_components([Trace, Feedback], ref_template=_REF)
    schemas = {
        **{name: _in_openapi_3_0(schema) for name, schema in ours.items()},
        "Error": _ERROR_SCHEMA,
        "Result": _RESULT_SCHEMA,
        "Results": _RESULTS_SCHEMA,
    }
    return {**described, "components": {"schemas": schemas}}


def _in_openapi_3_0(schema: Any) -> Any:
    """A JSON Schema as OpenAPI 3.0 has them: null is a property of a type, and no type itself."""
    if isinstance(schema, list):
        return [_in_openapi_3_0(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _in_openapi_3_0(value) for key, value in schema.items()}
    if isinstance(pattern := converted.get("pattern"), str):
        converted["pattern"] = pattern.replace(r"\Z", "$")  # Python's end of text, and JavaScript's
    options = converted.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del converted["anyOf"]
        only = rest[0] if len(rest) == 1 and "$ref" not in rest[0] else {"anyOf": rest}
        return {**converted, **only, "nullable": True}
    return converted
