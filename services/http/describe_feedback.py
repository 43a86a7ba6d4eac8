"""Feedback in other tools' shapes, as the API's page tells it."""

from typing import Any

_OBJECT = {"type": "object"}
_ERROR = {"$ref": "#/components/schemas/Error"}


def _answer(description: str, example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": _OBJECT, "example": example}}
    return {"description": description, "content": content}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("It cannot be read, or not taken; the message says why"),
    403: _error("The API key is for another project"),
    408: _error("The body did not arrive in time"),
    413: _error("More bytes than are taken"),
    415: _error("A content encoding that is not read here"),
    503: _error("Not stored; send it again after `Retry-After` seconds"),
}
_PROJECT = {
    "name": "x-evalratchet-project",
    "in": "header",
    "description": "The project; without it that of the API key, else `default`.",
    "schema": {"type": "string"},
}


def _described(
    summary: str, description: str, example: Any, answers: dict[int | str, dict[str, Any]]
) -> dict[str, Any]:
    content = {"application/json": {"schema": {}, "example": example}}
    return {
        "summary": summary,
        "description": description,
        "status_code": next(iter(answers)),
        "responses": {**_ERRORS, **answers},
        "openapi_extra": {
            "requestBody": {"required": True, "content": content},
            "parameters": [_PROJECT],
        },
    }


_SCORE = {
    "traceId": "4f28115818e38c9ca783053b39f38095",
    "name": "user-feedback",
    "value": 0,
    "dataType": "BOOLEAN",
    "comment": "It is on its way, I got the mail.",
}

SCORES = _described(
    "Send Langfuse scores",
    "One score, or a list of them, about a trace (`traceId`), a span (`observationId`) or a session "
    "(`sessionId`). A `CORRECTION` is kept for the reviewer.",
    _SCORE,
    {
        200: _answer("One score is stored", {"id": "9c1c6f5b0d2f4a5f8d2a9d0d7f3f1b77"}),
        202: _answer("All of a list are stored", {"message": "Accepted"}),
        207: _answer(
            "Some of a list are not; the others are stored",
            {"accepted": 1, "rejected": 1, "errors": [{"message": "it says nothing: ..."}]},
        ),
    },
)
INGESTION = _described(
    "Send Langfuse ingestion events",
    "`score-create` events are stored. Every other event is answered with an error of its own that "
    "says how traces come here: by OpenTelemetry.",
    {
        "batch": [
            {
                "id": "2f1f6c3e-5f0e-4b77-8f1b-0a7d6e5c4b3a",
                "type": "score-create",
                "timestamp": "2025-11-05T09:31:00Z",
                "body": _SCORE,
            }
        ]
    },
    {
        207: _answer(
            "What became of each event",
            {
                "successes": [{"id": "2f1f6c3e-5f0e-4b77-8f1b-0a7d6e5c4b3a", "status": 201}],
                "errors": [],
            },
        )
    },
)
LANGSMITH = _described(
    "Send LangSmith feedback",
    "Feedback on a run or a trace. UUIDs are also understood as OpenTelemetry ids without hyphens, "
    "which LangSmith's SDK makes of them. A `correction` is kept for the reviewer.",
    {
        "trace_id": "4f281158-18e3-8c9c-a783-053b39f38095",
        "key": "user_score",
        "score": 0,
        "comment": "It is on its way, I got the mail.",
    },
    {200: _answer("Stored", {"id": "9c1c6f5b0d2f4a5f8d2a9d0d7f3f1b77", "key": "user_score"})},
)


def annotations(kind: str) -> dict[str, Any]:
    """Phoenix' annotations of a kind: span, trace or session."""
    named = {"span": "eee19b7ec3c1b174", "trace": "4f28115818e38c9ca783053b39f38095"}
    annotation = {
        f"{kind}_id": named.get(kind, "s-118"),
        "name": "helpfulness",
        "annotator_kind": "HUMAN",
        "result": {"label": "unhelpful", "score": 0, "explanation": "It is on its way."},
    }
    described = _described(
        f"Send Phoenix {kind} annotations",
        "All of them are stored, or none.",
        {"data": [annotation]},
        {200: _answer("Stored", {"data": [{"id": "9c1c6f5b0d2f4a5f8d2a9d0d7f3f1b77"}]})},
    )
    described["responses"][422] = _error(
        "Some cannot be taken, so none was; the message says which"
    )
    return described
