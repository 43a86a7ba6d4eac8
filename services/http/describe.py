"""The API as its page and its OpenAPI document tell it. Handlers read raw bodies: this is by hand."""

from importlib.metadata import version
from typing import Any

from services.http import examples

API_VERSION = version("evalratchet")

INTRODUCTION = """
Send what your application did; what failed becomes an eval case, once.

* **2xx means stored.** The answer comes after the stream has your data durably. Anything else says
  what to change (4xx) or when to send it again (503, `Retry-After`).
* **Sending twice is harmless.** Ids are derived from what is sent.
* **API keys** are needed where other machines can send: `Authorization: Bearer er_...`.
* **Bodies** may be compressed (`Content-Encoding: gzip` or `deflate`).
"""

REF = "#/components/schemas/{name}"
_ERROR_REF = {"$ref": REF.format(name="Error")}
_PROTOBUF = "application/x-protobuf"

ERROR_SCHEMA = {
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
RESULT_SCHEMA = {
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
RESULTS_SCHEMA = {
    "type": "object",
    "required": ["results", "accepted", "rejected"],
    "properties": {
        "results": {"type": "array", "items": {"$ref": REF.format(name="Result")}},
        "accepted": {"type": "integer"},
        "rejected": {"type": "integer"},
    },
}


def error(description: str) -> dict[str, Any]:
    """An answer in the one shape of errors."""
    return {"description": description, "content": {"application/json": {"schema": _ERROR_REF}}}


_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}

GUARDED: dict[int | str, dict[str, Any]] = {
    400: error("The request cannot be read; the message says where"),
    401: error("An API key is needed; the message says how to send one and how to make one"),
    403: error("The API key may not do this: its scopes, or its project"),
    429: {**error("Too many requests from this key or address"), "headers": _RETRY_AFTER},
    503: {
        **error("Not done; ask again after `Retry-After` seconds"),
        "headers": _RETRY_AFTER,
    },
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    **GUARDED,
    408: error("The body did not arrive in time"),
    413: error("More bytes than are taken in one request, after decompression"),
    415: error("A content type or encoding that is not read here"),
    503: {
        **error("Not stored; send it again after `Retry-After` seconds"),
        "headers": _RETRY_AFTER,
    },
}


def _body(schema: dict[str, Any], **named: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "examples": named}}
    return {"requestBody": {"required": True, "content": content}}


def _one_or_many(name: str, many: str) -> dict[str, Any]:
    one = {"$ref": REF.format(name=name)}
    several = {
        "type": "object",
        "required": [many],
        "properties": {many: {"type": "array", "items": one}},
    }
    return {"oneOf": [one, several]}


def header(name: str, description: str, *, pattern: str | None = None) -> dict[str, Any]:
    """A header that may be sent."""
    schema = {"type": "string"} | ({} if pattern is None else {"pattern": pattern})
    return {"name": name, "in": "header", "description": description, "schema": schema}


def project_header(of: str) -> dict[str, Any]:
    """The header that names the project of what names none itself."""
    description = f"The project of {of} whose resource names none."
    return header("x-evalratchet-project", description, pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


_KEY = header(
    "Idempotency-Key",
    "Names a single object: sent again with the same key it is the same event; with another body it "
    "is refused (409). Not needed for repeating a request as it was.",
    pattern="^[!-~]{1,255}$",
)
_CONTEXT = header("traceparent", "W3C trace context, carried along to the case.")
_TAKEN = {
    "description": "At least one item is stored; the others say why not. An empty list is answered "
    "with no results: there was nothing to store",
    "content": {
        "application/json": {
            "schema": {"$ref": REF.format(name="Results")},
            "example": examples.ACCEPTED,
        }
    },
}

_CONFLICT = error("The Idempotency-Key came with another body before")
_NOTHING = error("Readable, but no item could be taken")

CAPTURES: dict[str, Any] = {
    "summary": "Send traces in the native format",
    "description": 'One trace, or many as `{"traces": [...]}`. Each item is judged on its own.',
    "status_code": 202,
    "responses": {202: _TAKEN, **_ERRORS, 409: _CONFLICT, 422: _NOTHING},
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
    "responses": {202: _TAKEN, **_ERRORS, 409: _CONFLICT, 422: _NOTHING},
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
_OTLP_ERRORS = {  # in the request's content type: a google.rpc.Status
    status: {**said, "content": {**said["content"], _PROTOBUF: {"schema": _BINARY}}}
    for status, said in _ERRORS.items()
}
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
        **_OTLP_ERRORS,
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
            project_header("spans"),
            _CONTEXT,
        ],
    },
}

LOGS: dict[str, Any] = {
    "summary": "Send GenAI events (OTLP/HTTP logs)",
    "description": (
        "What an OTLP log exporter posts, JSON or protobuf. `gen_ai.evaluation.result`, "
        "`gen_ai.evaluation.user_feedback` and the like are feedback on the trace of the record's "
        "trace id; `gen_ai.client.inference.operation.details`, `gen_ai.user.message`, "
        "`gen_ai.choice` and the like join the record's span. All other records are counted in "
        "`partialSuccess`: evalratchet keeps no logs."
    ),
    "responses": {
        200: {
            "description": "Stored. Records that were not taken are counted in `partialSuccess`",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": {}},
                _PROTOBUF: {"schema": _BINARY},
            },
        },
        **_OTLP_ERRORS,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "description": "ExportLogsServiceRequest of OTLP"},
                    "examples": {"one": examples.ONE_EVALUATION},
                },
                _PROTOBUF: {"schema": _BINARY},
            },
        },
        "parameters": [
            project_header("records"),
            _CONTEXT,
        ],
    },
}

_STATE = {"content": {"application/json": {"schema": {"type": "object"}}}}

# asked by what has no key: the page draws no lock
_OPEN: dict[str, Any] = {"openapi_extra": {"security": []}}

HEALTH: dict[str, Any] = {
    "summary": "Whether the process should be left alone",
    "responses": {
        200: {"description": "Every loop turns, or stopped itself for a person to look", **_STATE},
        503: {"description": "A loop is stuck: restart the process", **_STATE},
    },
    **_OPEN,
}
READY: dict[str, Any] = {
    "summary": "Whether the process is up and takes requests",
    "description": (
        "200 while the process listens, until it is told to stop; it does not ask the stream. While "
        "the stream is away posts are answered 503 with `Retry-After`: look at the stages of "
        "`/healthz` and the logs."
    ),
    "responses": {
        200: {"description": "The process takes requests", **_STATE},
        503: {"description": "The process is being stopped", **_STATE},
    },
    **_OPEN,
}
METRICS: dict[str, Any] = {
    "summary": "Metrics in Prometheus' format",
    "responses": {
        200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
}
