"""What attributes mean: one table for each convention, read as if there were only one.

Adding a convention is adding a module with a `CONVENTION` and a place in `CONVENTIONS`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from capture.conventions import (
    adk,
    genai,
    langfuse,
    mlflow,
    openinference,
    pydantic_ai,
    traceloop,
    vercel,
)
from capture.conventions.shape import Convention, Field, Kind, value_at

CONVENTIONS: tuple[Convention, ...] = (
    genai.CONVENTION,
    openinference.CONVENTION,
    pydantic_ai.CONVENTION,
    vercel.CONVENTION,
    traceloop.CONVENTION,
    mlflow.CONVENTION,
    adk.CONVENTION,
    # Last, since its attributes are copies that its server made of the others.
    langfuse.CONVENTION,
)
"""In order of trust: where two of them speak about the same thing, the first is believed."""

_KNOWN = frozenset(
    name.partition("#")[0] for c in CONVENTIONS for names in c.fields.values() for name in names
).union(*(c.bulky for c in CONVENTIONS))
_KNOWN_PREFIXES = tuple(prefix for c in CONVENTIONS for prefix in c.prefixes)
_NAMES: dict[Field, tuple[str, ...]] = {}
for _convention in CONVENTIONS:
    for _field, _names in _convention.fields.items():
        _NAMES[_field] = _NAMES.get(_field, ()) + _names


def values(attributes: Mapping[str, Any], field: Field) -> Iterator[Any]:
    """Every non-empty value the conventions have for a field, the most trusted first."""
    for name in _NAMES.get(field, ()):
        value = value_at(attributes, name)
        if value is not None and value not in ("", [], {}):
            yield value


def first(attributes: Mapping[str, Any], field: Field) -> Any:
    """The most trusted value of a field, or None."""
    return next(values(attributes, field), None)


def kind_of(attributes: Mapping[str, Any]) -> Kind | None:
    """What a span stands for: what it says itself, else what its attributes suggest."""
    said = (c.kind(attributes) for c in CONVENTIONS)
    return next((kind for kind in said if kind is not None), None) or _suggested(attributes)


def is_known(name: str) -> bool:
    """Whether an attribute is read, or is bulk that says nothing about how the request went."""
    return name in _KNOWN or name.startswith(_KNOWN_PREFIXES)


def _suggested(attributes: Mapping[str, Any]) -> Kind | None:
    if first(attributes, "tool_name") is not None:
        return "tool"
    if first(attributes, "model") is not None and first(attributes, "tokens_in") is not None:
        return "agent" if "agent_name" in attributes else "llm"
    return "llm" if any(True for _ in values(attributes, "input_messages")) else None
