"""The OpenAPI document: the routes as `describe` has them, and our types as schemas."""

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from capture.native import Feedback
from capture.trace import Trace
from services.http.describe import ERROR_SCHEMA, REF, RESULT_SCHEMA, RESULTS_SCHEMA
from services.http.patterns import Merging, Naming, Splitting, Undoing
from services.keys import NewKey, ShownKey
from services.pattern_changes import PatternChange

_OPENAPI = "3.0.3"  # the newest that the bundled page reads


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
    types = [Trace, Feedback, NewKey, ShownKey, Merging, Naming, Splitting, Undoing, PatternChange]
    _, ours = msgspec.json.schema_components(types, ref_template=REF)
    schemas = {
        **{name: _in_openapi_3_0(schema) for name, schema in ours.items()},
        "Error": ERROR_SCHEMA,
        "Result": RESULT_SCHEMA,
        "Results": RESULTS_SCHEMA,
    }
    security = {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}}
    components = {"schemas": schemas, "securitySchemes": security}
    return {**described, "components": components, "security": [{}, {"key": []}]}


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
