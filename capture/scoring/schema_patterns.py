"""JSON Schema's patterns by RE2: schemas come with traces too, and no pattern may hang capture."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import re2

_KEPT_KINDS = 16  # drafts of JSON Schema
_KEPT_PATTERNS = 1024
_TOGETHER = frozenset({"unevaluatedProperties", "patternProperties"})
_QUIET = re2.Options()
_QUIET.log_errors = False

Broken = Iterator[jsonschema.ValidationError]


@lru_cache(maxsize=_KEPT_KINDS)
def with_safe_patterns(kind: Any) -> Any:
    """The validator of a draft, with the keywords that search by pattern done again.

    Validating raises `ValueError` for a pattern that RE2 does not take: it has no look-around and no
    references back.
    """
    keywords = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    known = {name: rule for name, rule in keywords.items() if name in kind.VALIDATORS}
    return jsonschema.validators.extend(kind, known)  # type: ignore[no-untyped-call]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Broken:  # noqa: ARG001
    if validator.is_type(instance, "string") and not _compiled(pattern).search(instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any,
    properties: dict[str, Any],
    instance: Any,
    schema: Any,  # noqa: ARG001 - as every keyword has it
) -> Broken:
    if not validator.is_type(instance, "object"):
        return
    for pattern, wanted in properties.items():
        found = _compiled(pattern)
        for name, value in instance.items():
            if found.search(name):
                yield from validator.descend(value, wanted, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Broken:
    if not validator.is_type(instance, "object"):
        return
    named = schema.get("properties", {})
    patterns = [_compiled(pattern) for pattern in schema.get("patternProperties", {})]
    extra = [
        name
        for name in instance
        if name not in named and not any(pattern.search(name) for pattern in patterns)
    ]
    if validator.is_type(wanted, "object"):
        for name in extra:
            yield from validator.descend(instance[name], wanted, path=name)
    elif not wanted and extra:
        shown = ", ".join(repr(name) for name in extra)
        verb = "was" if len(extra) == 1 else "were"
        message = f"Additional properties are not allowed ({shown} {verb} unexpected)"
        yield jsonschema.ValidationError(message)


def searches_unsafely(schema: Any) -> bool:
    """Whether a schema would make the library search by a pattern of Python's after all.

    `unevaluatedProperties` looks into what `patternProperties` has seen, through references too.
    """
    found: set[str] = set()
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            found.update(_TOGETHER & part.keys())
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return found == _TOGETHER


@lru_cache(maxsize=_KEPT_PATTERNS)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _QUIET)
    except (re2.error, UnicodeEncodeError) as error:
        message = f"the schema's pattern {pattern[:200]!r} is none that RE2 takes: {error}"
        raise ValueError(message) from error
