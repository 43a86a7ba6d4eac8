"""Why a model stopped, in any of the shapes that providers have for it."""

from collections.abc import Iterable
from typing import Any

from capture.conventions.shape import decoded

_REASONS = (
    "finish_reason",
    "finishReason",
    "stop_reason",  # Anthropic
    "stopReason",  # Amazon Bedrock
    "done_reason",  # Ollama
)
_WRAPPERS = (
    "choices",
    "candidates",
    "generations",
    "messages",
    "message",
    "response_metadata",  # LangChain
    "generation_info",
    "kwargs",
)
_DEEPEST = 6  # wrappers within wrappers
_LONGEST = 64  # characters; the longest in use has about thirty


def reason_in(value: Any, depth: int = 0) -> str | None:
    """The reason in a value: a word, several of which the last counts, or an answer that has it.

    `depth` is 0 for what can only be a reason, and 1 for an answer, whose words are none.
    """
    value = decoded(value)
    if depth == 0 and isinstance(value, list):
        value = next((item for item in reversed(value) if item), None)
    if isinstance(value, str):
        return value[:_LONGEST] if depth == 0 and value else None
    if depth > _DEEPEST:
        return None
    nested: Iterable[Any] = ()
    if isinstance(value, list):
        nested = reversed(value)
    elif isinstance(value, dict):
        own = (value.get(key) for key in _REASONS)
        if (reason := next((one for one in own if isinstance(one, str) and one), None)) is not None:
            return reason[:_LONGEST]
        nested = (value[key] for key in _WRAPPERS if key in value)
    found = (reason_in(item, max(depth, 1) + 1) for item in nested)
    return next((reason for reason in found if reason is not None), None)
