"""LangSmith's feedback: https://docs.langchain.com/langsmith/attach-user-feedback.

Runs and traces have UUIDs there. LangSmith's SDK sends them to OpenTelemetry without hyphens (and a
run's span is the first half of its UUID), while an application may have sent a trace under the UUID
as it is written. Feedback does not say which it was, so it is kept for both; what never comes is
forgotten with the retention.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from capture.events import FeedbackReceived
from capture.feedback.about import Item, about, in_utc
from capture.malformed import UNREADABLE, Malformed, json_trouble
from capture.trace import Content, Signal

_SOURCES = {"model": "evaluation", "app": "user", "auto_eval": "evaluation"}
_HALF_OF_HEX = 16  # digits of a span's id


class _Source(msgspec.Struct):
    type: str = "api"
    metadata: dict[str, Any] | None = None


class _Feedback(msgspec.Struct):
    key: str
    run_id: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    score: bool | float | None = None
    value: Any = None
    comment: str | None = None
    correction: Content = None
    feedback_source: _Source | None = None
    extra: dict[str, Any] | None = None
    created_at: datetime | None = None


_feedback_decoder = msgspec.json.Decoder(_Feedback)


def decode_langsmith(body: bytes, *, project: str, max_bytes: int, now: datetime) -> Item:
    """The feedback in a body; `now` is when it was given, where it does not say.

    Raises:
        Malformed: the body is no feedback, or says nothing, or not about what.
    """
    if len(body) > max_bytes:
        message = f"The feedback has {len(body)} bytes, the limit is {max_bytes}"
        raise Malformed(message)
    try:
        told = _feedback_decoder.decode(body)
        signal = _signal(told, now)
        return Item(told.id, tuple(_all_meant(told, signal, project)))
    except UNREADABLE as error:
        message = f"The body is no feedback: {json_trouble(error, body)}"
        raise Malformed(message) from error
    except ValueError as error:
        message = f"The feedback cannot be taken: {error}"
        raise Malformed(message) from error


def _signal(told: _Feedback, now: datetime) -> Signal:
    source = told.feedback_source or _Source()
    score, label = told.score, told.value
    metadata = {**(source.metadata or {}), **(told.extra or {})}
    if label is not None and not isinstance(label, (bool, int, float, str)):
        metadata["value"], label = label, None
    if isinstance(label, int) and not isinstance(label, bool):
        label = _number(label)
    return Signal(
        name=told.key,
        value=score if score is not None else label,
        label=str(label) if score is not None and label is not None else None,
        source=_SOURCES.get(source.type, source.type),
        comment=told.comment,
        correction=told.correction,
        id=told.id,
        at=in_utc(told.created_at or now),
        metadata=metadata,
    )


def _number(value: int) -> float:
    """Raises ValueError when no number of ours is as large."""
    try:
        return float(value)
    except OverflowError:
        message = "its value is larger than any number that can be kept"
        raise ValueError(message) from None


def _all_meant(told: _Feedback, signal: Signal, project: str) -> list[FeedbackReceived]:
    """One for each id that the trace may have been sent under."""
    trace, run = told.trace_id, told.run_id
    if trace is None and run is None:
        message = "it has neither run_id nor trace_id; feedback on a whole project is not kept"
        raise ValueError(message)
    child = run if trace is not None and run != trace else None
    span = _hex(child)[:_HALF_OF_HEX] if child else None
    written = str(trace or run)
    plain = _hex(written)
    found = [about(project, signal, trace_id=plain, span_id=span)]
    if written != plain:
        found.append(about(project, signal, trace_id=written))
    if trace is None:  # a run whose trace is not named: its own trace when it is the root's
        found.append(about(project, signal, span_id=plain[:_HALF_OF_HEX]))
    return found


def _hex(identifier: str) -> str:
    """A UUID as 32 digits; anything else as it is."""
    try:
        return UUID(identifier).hex
    except ValueError:
        return identifier
