"""What is compared: a text that says how a failure happened, not to whom."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from capture.events import SEVERITIES, FailingSignal, Failure
from capture.scorers import ERROR_MESSAGE, ERROR_TYPE
from capture.trace import Signal, Trace, content_text
from dedup.fitting import beginning, fitted
from dedup.guard import failed_tools, tool_calls
from dedup.log_lines import without_repetition
from dedup.masks import masked_error, masked_name
from dedup.policy import Part, TextPolicy
from dedup.shape import shape_of
from dedup.stack import parsed

TEXT_CODE_VERSION = "2"
"""Rises when the same failure gets another text under the same policy: that is another space then."""

_DEFAULT = TextPolicy()
_STACK_KEYS = (
    "exception.stacktrace",
    "error.stack",
    "error.stacktrace",
    "stacktrace",
    "stack_trace",
    "traceback",
)
_ERROR_READ = 32_000  # characters of one error; a stack trace of 400 frames
_ERRORS = 8  # told at most: a trace may have a thousand failed steps
_BOUND = re.compile(r"^.{0,200}?, (?:below|above) the bound of \S+(?: \(said by [^)]*\))?\.?\s*")
"""What the scorers of numbers say: of every failure the same but for the numbers, and so much of a short
text that "the parcel did not come" and "an invoice with the wrong sum" were one pattern by it."""
_TOLD_BY_ERROR = frozenset({"error", "tool_error"})  # signals whose reason is the error's own text


class ShownPart(msgspec.Struct, frozen=True):
    """One part of the text. `cut`: characters that its limit left out, of what there was to say."""

    part: Part
    chars: int
    text: str
    cut: int = 0
    turns_left_out: int = 0


class FailureText(msgspec.Struct, frozen=True):
    """The parts in the policy's order, empty ones too, and `whole`, which is compared."""

    parts: tuple[ShownPart, ...]
    whole: str


def text_version(policy: TextPolicy) -> str:
    """Eight hexadecimal digits that differ for two ways to write the text."""
    said = msgspec.json.encode([TEXT_CODE_VERSION, policy], order="deterministic")
    return hashlib.blake2b(said, digest_size=4).hexdigest()


def failure_text(failure: Failure, policy: TextPolicy = _DEFAULT) -> FailureText:
    """The parts that the policy names, each within its length, and all together, one a line.

    Whatever is in the failure, this raises nothing, takes time linear in its size, and gives text
    without control characters and lone surrogates.
    """
    parts = tuple(_shown(one.part, one.chars, failure) for one in policy.parts)
    return FailureText(parts, "\n".join(part.text for part in parts if part.text))


def _shown(part: Part, chars: int, failure: Failure) -> ShownPart:
    if part == "turns":
        turns = _turns(failure.trace)
        text, left_out = fitted(turns, chars)
        length = sum(map(len, turns)) + max(0, len(turns) - 1)
    else:
        told = _TELLS[part](failure)
        text, left_out, length = beginning(told, chars), 0, len(told)
    return ShownPart(part, chars, _clean(text), max(0, length - len(text)), left_out)


def _turns(trace: Trace) -> list[str]:
    """What the user said, turn by turn; what was asked where no step tells."""
    said = [_squeezed(_text(step.content)) for step in trace.steps if step.type == "user"]
    return [turn for turn in said if turn] or [_squeezed(_text(trace.input))]


def _signals(failure: Failure) -> str:
    """The failing signals, the gravest first, with why they failed and what was said with them."""
    ordered = sorted(failure.signals, key=lambda one: (-SEVERITIES.index(one.severity), one.name))
    said = {(one.name, one.source): one for one in failure.trace.signals}
    told = (_signal(one, said.get((one.name, one.source))) for one in ordered)
    return " ".join(dict.fromkeys(told))


def _signal(failing: FailingSignal, said: Signal | None) -> str:
    name = masked_name(failing.name)
    if failing.name in _TOLD_BY_ERROR and failing.source == "scorer":
        return name
    reason = _BOUND.sub("", _squeezed(failing.reason))
    words = [reason if reason.startswith(failing.name) else f"{name}: {reason}" if reason else name]
    value = failing.value if isinstance(failing.value, str) else ""
    more = (value, (said and said.label) or "", (said and said.comment) or "")
    words.extend(plain for plain in map(_squeezed, more) if plain and plain not in reason)
    return _squeezed(masked_error(" ".join(words)[:_ERROR_READ]))


def _error(failure: Failure) -> str:
    """The request's own error, then those of its steps, each once: type, message, our frames."""
    told: dict[str, None] = {}
    for error in _errors(failure.trace):
        stack = parsed(error[:_ERROR_READ])
        lines = without_repetition(masked_error(stack.said).splitlines())
        frames = "".join(f" at {frame}" for frame in stack.frames)
        if told_once := _squeezed(" ".join(lines) + frames):
            told.setdefault(told_once)
        if len(told) == _ERRORS:
            break
    whole = list(told)
    return " ".join(
        one for one in whole if not any(one in other for other in whole if other != one)
    )


def _errors(trace: Trace) -> Iterator[str]:
    request = [_text(trace.metadata.get(key)) for key in (ERROR_TYPE, ERROR_MESSAGE)]
    request = [said for said in request if said] or [_text(trace.metadata.get("error"))]
    kind, message = request[0], request[-1]
    space = "\n" if "\n" in message else " "  # the lines of a log are told by their beginning
    said = message if message.startswith(kind) else f"{kind}:{space}{message}"
    stack = next((text for key in _STACK_KEYS if (text := _text(trace.metadata.get(key)))), "")
    if said or stack:
        yield f"{said}\n{stack}" if stack else said
    for step in trace.steps:
        if step.error:
            text = step.error if isinstance(step.error, str) else _text(step.content)
            yield f"{masked_name(step.name or step.type)}: {text}"


def _tool(failure: Failure) -> str:
    """The tools that failed with the shape of what they were called with, the last time they were."""
    called = {call.name: call for call in tool_calls(failure.trace.steps)}
    told: list[str] = []
    for name in failed_tools(failure):
        call = called.get(name)
        step = call and (call.call or call.result)
        told.append(f"{masked_name(name) or 'a tool'} with {shape_of(step and step.arguments)}")
    return " ".join(told)


def _answer(failure: Failure) -> str:
    return _squeezed(_text(failure.trace.output))


_TELLS: Mapping[Part, Callable[[Failure], str]] = MappingProxyType(
    {"signals": _signals, "error": _error, "tool": _tool, "answer": _answer}
)


def _text(content: object) -> str:
    """Content as text, whatever it is: metadata is any JSON, and so may a text be that is none."""
    if content is None or content is True or content is False:
        return ""
    if isinstance(content, str):
        return content
    try:
        return content_text(content) if isinstance(content, dict | list) else str(content)
    except (TypeError, ValueError, RecursionError):
        return "content that cannot be read"


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _clean(text: str) -> str:
    """The text without what neither a model nor a database can hold."""
    if text.isprintable():
        return text
    whole = text.encode("utf-8", "replace").decode()
    return _squeezed("".join(" " if _control(sign) else sign for sign in whole))


def _control(sign: str) -> bool:
    return sign < " " or "\x7f" <= sign <= "\x9f"
