"""The API of keys as its page and its OpenAPI document tell it."""

from typing import Any

from services.http.describe import GUARDED, error

_SHOWN: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/ShownKey"}}}
_LISTED = {
    "type": "object",
    "required": ["keys"],
    "properties": {"keys": {"type": "array", "items": {"$ref": "#/components/schemas/ShownKey"}}},
}
_ALWAYS = "Wants a key of scope `admin`, on every address; the first is made by `evalratchet keys create`."

CREATE: dict[str, Any] = {
    "summary": "Make an API key",
    "description": f"The answer has the key, once: it is kept nowhere. {_ALWAYS}",
    "status_code": 201,
    "responses": {
        201: {"description": "The key, to be kept by whoever asked", "content": _SHOWN},
        **GUARDED,
        422: error("No such key can be made; the message says why"),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/NewKey"},
                    "example": {"project": "shop", "scopes": ["ingest"], "name": "web servers"},
                }
            },
        }
    },
}
LIST: dict[str, Any] = {
    "summary": "List API keys",
    "description": f"Oldest first, the revoked included; never the keys themselves. {_ALWAYS}",
    "responses": {
        200: {"description": "Keys", "content": {"application/json": {"schema": _LISTED}}},
        **GUARDED,
    },
}
REVOKE: dict[str, Any] = {
    "summary": "Revoke an API key",
    "description": f"For good, within two seconds, in every process. {_ALWAYS}",
    "responses": {
        200: {"description": "The key, revoked", "content": _SHOWN},
        **GUARDED,
        404: error("There is no such key"),
    },
}
