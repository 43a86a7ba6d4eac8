"""What is compared: a text that says how a failure happened, not to whom."""

from capture.events import Failure
from capture.trace import Step, content_text

TEXT_VERSION = "1"
"""Part of the embedding space: vectors of two ways to write the text are never compared."""

_ASKED_CHARS = 700  # about 150 tokens: the model reads 256, and what was asked tells most
_ERROR_CHARS = 200
_ANSWER_CHARS = 160


def failure_text(failure: Failure) -> str:
    """What was asked over all user turns, what went wrong, and how the answer began.

    Errors and failing signals come by name and text; the numbers in a signal's reason are left out
    because they differ between occurrences of one failure.
    """
    trace = failure.trace
    turns = [content_text(s.content) for s in trace.steps if s.type == "user"]
    asked = _squeezed(" ".join(turns) or content_text(trace.input))[:_ASKED_CHARS]
    errors = _squeezed(" ".join(_error(s) for s in trace.steps if s.error))[:_ERROR_CHARS]
    answer = _squeezed(content_text(trace.output))[:_ANSWER_CHARS]
    return "\n".join(part for part in (asked, errors, answer) if part)


def _error(step: Step) -> str:
    text = step.error if isinstance(step.error, str) else content_text(step.content)
    return f"{step.name or step.type}: {text}"


def _squeezed(text: str) -> str:
    return " ".join(text.split())
