"""The API of modes as its page and its OpenAPI document tell it."""

from typing import Any

from services.http.describe import GUARDED, error

_OBJECT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
_SCOPE = "Wants a key of scope `read` where keys are needed."
_PROJECT: dict[str, Any] = {
    "name": "project",
    "in": "query",
    "description": "the project; a key of one project means that one",
    "schema": {"type": "string"},
}
_LIMIT: dict[str, Any] = {
    "name": "limit",
    "in": "query",
    "description": "at most so many",
    "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
}

MODES: dict[str, Any] = {
    "summary": "Ways of failing, the largest first",
    "description": (
        "A mode is a group of patterns that lie close together. Its id stays from one refit to the "
        f"next while its patterns do. {_SCOPE}"
    ),
    "responses": {
        200: {"description": "`modes`, and the latest `refit` or null", "content": _OBJECT},
        **GUARDED,
    },
    "openapi_extra": {
        "parameters": [
            _PROJECT,
            {
                "name": "gone",
                "in": "query",
                "description": "also modes that are no more",
                "schema": {"type": "boolean", "default": False},
            },
        ]
    },
}
MODE: dict[str, Any] = {
    "summary": "One mode and its patterns, the most typical first",
    "description": (
        "`membership` says how far inside the mode a pattern lies, `outlier` how odd it is, both from "
        f"0 to 1. {_SCOPE}"
    ),
    "responses": {
        200: {"description": "The `mode` and its `patterns`", "content": _OBJECT},
        **GUARDED,
        404: error("The project has no such mode"),
    },
    "openapi_extra": {
        "parameters": [
            _PROJECT,
            _LIMIT,
        ]
    },
}
PROPOSALS: dict[str, Any] = {
    "summary": "Patterns that look like one, with the evidence",
    "description": (
        "Patterns of one mode whose places have come nearer than the dedup distance. They are merged "
        f"by who accepts, with `evalratchet patterns proposals --accept ID`. {_SCOPE}"
    ),
    "responses": {200: {"description": "The `proposals`", "content": _OBJECT}, **GUARDED},
    "openapi_extra": {
        "parameters": [
            _PROJECT,
            {
                "name": "state",
                "in": "query",
                "description": "which ones",
                "schema": {
                    "type": "string",
                    "enum": ["open", "accepted", "rejected", "all"],
                    "default": "open",
                },
            },
            _LIMIT,
        ]
    },
}
