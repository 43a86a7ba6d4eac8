"""The API of the knob as its page and its OpenAPI document tell it."""

from typing import Any

from services.http.describe import GUARDED, error

_OBJECT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
_SCOPE = "Wants a key of scope `read` where keys are needed."


def _query(name: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


_PROJECT = _query("project", "the project; a key of one project means that one", {"type": "string"})

WHAT_IF: dict[str, Any] = {
    "summary": "What another dedup distance would do to the history",
    "description": (
        "Decides the project's stored failures again at this distance and compares with its patterns "
        "of today: how many there would be (`then` beside `today`), `merges` and `splits` with "
        "examples, which texts are `moved`, and `curves` of bloat and coverage over the whole range "
        "of distances. Nothing is changed. One at a time, of at most 100,000 distinct texts: about "
        f"10 s for so many. {_SCOPE}"
    ),
    "responses": {
        200: {"description": "Both groupings and what is between them", "content": _OBJECT},
        **GUARDED,
        404: error("The project has no stored failures to replay"),
        422: error("The history is too large for a request; the message says what to run"),
    },
    "openapi_extra": {
        "parameters": [
            _query(
                "distance",
                "the distance to try",
                {"type": "number", "minimum": 0, "maximum": 2},
                required=True,
                example=0.48,
            ),
            _PROJECT,
            _query(
                "since",
                "only failures since so long ago: 24h, 30d, 8w",
                {"type": "string", "pattern": r"^[0-9]{1,5}[smhdw]$"},
            ),
            _query(
                "examples",
                "so many merges and so many splits",
                {"type": "integer", "minimum": 0, "maximum": 100, "default": 5},
            ),
        ]
    },
}
COVERAGE: dict[str, Any] = {
    "summary": "How much of what goes wrong is known",
    "description": (
        "Patterns seen once, the Good-Turing estimate of the share of failures to come that belong to "
        "a known pattern, how many patterns there are at least (Chao1), both with 95 % intervals, for "
        "the project and each of its modes; and the discovery curve with its forecast. "
        f"{_SCOPE}"
    ),
    "responses": {
        200: {"description": "The estimates", "content": _OBJECT},
        **GUARDED,
        404: error("The project has no failures yet"),
    },
    "openapi_extra": {"parameters": [_PROJECT]},
}
