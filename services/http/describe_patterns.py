"""The API of changing patterns as its page and its OpenAPI document tell it."""

from typing import Any

from services.http.describe import GUARDED, REF, error

_SCOPE = "Wants a key of scope `review` where keys are needed."
_CHANGE: dict[str, Any] = {
    "application/json": {"schema": {"$ref": REF.format(name="PatternChange")}}
}
_LISTED = {
    "type": "object",
    "required": ["changes"],
    "properties": {
        "changes": {"type": "array", "items": {"$ref": REF.format(name="PatternChange")}}
    },
}
_PROJECT: dict[str, Any] = {
    "name": "project",
    "in": "query",
    "description": "the project; a key of one project means that one",
    "schema": {"type": "string"},
}


def _asked(schema: str, example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": REF.format(name=schema)}, "example": example}
    return {
        "parameters": [_PROJECT],
        "requestBody": {"required": True, "content": {"application/json": content}},
    }


def _answers(missing: str, conflict: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "The change, made and written down", "content": _CHANGE},
        **GUARDED,
        404: error(missing),
        408: error("The body did not arrive in time"),
        409: error(conflict),
        413: error("More bytes than are taken in one request, after decompression"),
        415: error("A content encoding that is not read here"),
        422: error("No such change can be made; the message says why"),
    }


MERGE: dict[str, Any] = {
    "summary": "Make patterns one",
    "description": (
        "The patterns in `merged` become part of the one in the address: counts, cases and history "
        "follow, and their ids go on meaning it. Where both have a case, that of the pattern in the "
        "address counts; the other is kept. Patterns of different faults, or in which different tools "
        f"failed, are never one. {_SCOPE}"
    ),
    "responses": _answers("There is no such pattern", "They are one already, or never can be"),
    "openapi_extra": _asked(
        "Merging", {"merged": ["4f2e8c1d09ab7713"], "reason": "both are the lost parcel"}
    ),
}
SPLIT: dict[str, Any] = {
    "summary": "Give occurrences a pattern of their own",
    "description": (
        "Every occurrence with the same text as one in `events` goes along, and so do cases that were "
        f"made of them. Something must be left. {_SCOPE}"
    ),
    "responses": _answers(
        "There is no such pattern, or it has no such occurrence", "Nothing would be left"
    ),
    "openapi_extra": _asked(
        "Splitting", {"events": ["7be1f0a2c3d4e5f60718293a4b5c6d7e"], "reason": "a refund"}
    ),
}
NAME: dict[str, Any] = {
    "summary": "Name a pattern",
    "description": (
        "What people see before its text wherever patterns are listed. Where a pattern without a name "
        f"is merged with one that has one, it gets that. {_SCOPE}"
    ),
    "responses": _answers("There is no such pattern", "It has this name already"),
    "openapi_extra": _asked("Naming", {"name": "lost parcels", "by": "ann"}),
}
UNNAME: dict[str, Any] = {
    "summary": "Take a pattern's name away",
    "description": _SCOPE,
    "responses": {
        200: {"description": "The change, made and written down", "content": _CHANGE},
        **GUARDED,
        404: error("There is no such pattern"),
        409: error("It has no name"),
    },
    "openapi_extra": {
        "parameters": [
            _PROJECT,
            *(
                {
                    "name": name,
                    "in": "query",
                    "description": said,
                    "schema": {"type": "string", "maxLength": 2000},
                }
                for name, said in (("reason", "why, for the history"), ("by", "who"))
            ),
        ]
    },
}
UNDO: dict[str, Any] = {
    "summary": "Take a merge, a split or a name back",
    "description": (
        "Patterns, cases and labels are as before; what failed since goes where its text belongs. "
        f"{_SCOPE}"
    ),
    "responses": _answers(
        "There is no such change", "It was undone before, or later changes build on it"
    ),
    "openapi_extra": _asked("Undoing", {"reason": "they do differ"}),
}
HISTORY: dict[str, Any] = {
    "summary": "Merges, splits, names and what was undone",
    "description": "The latest first. Wants a key of scope `read` where keys are needed.",
    "responses": {
        200: {"description": "Changes", "content": {"application/json": {"schema": _LISTED}}},
        **GUARDED,
    },
    "openapi_extra": {
        "parameters": [
            _PROJECT,
            {
                "name": "limit",
                "in": "query",
                "description": "at most so many",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            },
        ]
    },
}
