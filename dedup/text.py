"""What is compared: a text that says how a failure happened, not to whom."""

from collections.abc import Iterator

from capture.events import Failure
from capture.scorers import ERROR_MESSAGE, ERROR_TYPE
from capture.trace import Step, Trace, content_text

TEXT_VERSION = "1"
"""Part of the embedding space: vectors of two ways to write the text are never compared."""

_ASKED_CHARS = 700  # about 150 tokens: the model reads 256, and what was asked tells most
_ERROR_CHARS = 200
_ANSWER_CHARS = 160


def failure_text(failure: Failure) -> str:
    """What was asked over all user turns, which errors there were, and how the answer began.

    Errors are its steps', by name and text, or the request's own where no step has one.
    """
    trace = failure.trace
    turns = [content_text(s.content) for s in trace.steps if s.type == "user"]
    asked = _squeezed(" ".join(turns) or content_text(trace.input))[:_ASKED_CHARS]
    wrong = [_error(s) for s in trace.steps if s.error] or list(_ending(trace))
    errors = _squeezed(" ".join(wrong))[:_ERROR_CHARS]
    answer = _squeezed(content_text(trace.output))[:_ANSWER_CHARS]
    return "\n".join(part for part in (asked, errors, answer) if part)


def _ending(trace: Trace) -> Iterator[str]:
    """What the request itself ended in, where it did: the kind of error, then its message."""
    for key in (ERROR_TYPE, ERROR_MESSAGE):
        if said := trace.metadata.get(key):
            yield content_text(said) if isinstance(said, (str, dict, list)) else str(said)


def _error(step: Step) -> str:
    text = step.error if isinstance(step.error, str) else content_text(step.content)
    return f"{step.name or step.type}: {text}"


def _squeezed(text: str) -> str:
    return " ".join(text.split())
