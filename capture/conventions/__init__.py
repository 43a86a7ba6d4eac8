"""What attributes mean: one table for each convention, read as if there were only one.

Adding a convention is adding a module with a `CONVENTION` and a place in `CONVENTIONS`.
"""

from collections.abc import Mapping
from typing import Any

from capture.conventions import (
    adk,
    genai,
    langfuse,
    langsmith,
    mlflow,
    openinference,
    pydantic_ai,
    traceloop,
    vercel,
)
from capture.conventions.reading import KnownSteps, Reader, Said
from capture.conventions.shape import Convention, Field

CONVENTIONS: tuple[Convention, ...] = (
    genai.CONVENTION,
    openinference.CONVENTION,
    pydantic_ai.CONVENTION,
    vercel.CONVENTION,
    traceloop.CONVENTION,
    mlflow.CONVENTION,
    adk.CONVENTION,
    langsmith.CONVENTION,
    # Last, since its attributes are copies that its server made of the others.
    langfuse.CONVENTION,
)
"""In order of trust: where two of them speak about the same thing, the first is believed."""

_KINDS_FIRST = (langsmith.CONVENTION,)
_READER = Reader(CONVENTIONS, kinds_first=_KINDS_FIRST)


def said(attributes: Mapping[str, Any], known: KnownSteps | None = None) -> Said:
    """What a span's attributes say, by field. Spans of one trace share what is `known`."""
    return _READER.said(attributes, known)


def first(attributes: Mapping[str, Any], field: Field) -> Any:
    """The most trusted value of a field, or None."""
    return said(attributes).first(field)
