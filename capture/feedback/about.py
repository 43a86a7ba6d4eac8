"""What is common to all shapes: who is meant, what may be said, and what became of each item."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from capture.depth import DEEPEST, too_deep
from capture.events import FeedbackReceived
from capture.malformed import UNREADABLE, json_trouble
from capture.trace import Signal

_LONGEST_ID = 120  # characters: with `session:` before it at most the 128 of a trace id
_LONGEST_NAME = 128


class Item(msgspec.Struct, frozen=True):
    """What became of one item: the events it stands for, or why it was not taken."""

    id: str | None
    """As its sender named it."""
    events: tuple[FeedbackReceived, ...] = ()
    refusal: str | None = None


def judged(
    raw: msgspec.Raw,
    max_bytes: int,
    read: Callable[[msgspec.Raw], Item],
    id_of: Callable[[Any], Any],
) -> Item:
    """The item that `read` makes of JSON; what it raises becomes the refusal."""
    size = len(memoryview(raw))
    if size > max_bytes:
        message = f"it has {size} bytes, the limit is {max_bytes} (EVALRATCHET_MAX_TRACE_BYTES)"
        return Item(_identified(raw, id_of), refusal=message)
    try:
        return read(raw)
    except UNREADABLE as error:
        return Item(_identified(raw, id_of), refusal=json_trouble(error, bytes(raw)))
    except ValueError as error:
        return Item(_identified(raw, id_of), refusal=str(error))


def _identified(raw: msgspec.Raw, id_of: Callable[[Any], Any]) -> str | None:
    """The id of an item that was not taken, if it can be made out."""
    try:
        found = id_of(msgspec.json.decode(raw))
    except (*UNREADABLE, AttributeError, TypeError):
        return None
    return found[:_LONGEST_NAME] if isinstance(found, str) else None


def about(
    project: str,
    signal: Signal,
    *,
    trace_id: str | None = None,
    span_id: str | None = None,
    session_id: str | None = None,
    event_id: str = "",
) -> FeedbackReceived:
    """Feedback on a trace, else on a span, else on a session; empty ids are none.

    Raises:
        ValueError: none is named, an id is too long or cannot be printed, or nothing is said.
    """
    check_said(signal)
    span_id, session_id = span_id or None, session_id or None
    for value in (trace_id, span_id, session_id):
        if value and (len(value) > _LONGEST_ID or not value.isprintable() or not value.strip()):
            message = (
                f"the id {value[:40]!r} must be 1 to {_LONGEST_ID} characters that can be seen"
            )
            raise ValueError(message)
    if trace_id:
        meant = trace_id
    elif span_id:
        meant = f"span:{span_id}"
    elif session_id:
        meant = f"session:{session_id}"
    else:
        message = "it does not say what it is about: a trace, a span or a session"
        raise ValueError(message)
    return FeedbackReceived(
        event_id=event_id,
        project=project,
        trace_id=meant,
        signal=signal,
        span_id=span_id,
        session_id=None if trace_id or span_id else session_id,
    )


def check_said(signal: Signal) -> None:
    """Raises ValueError when a signal has no name, says nothing, or nests too deeply."""
    if not 0 < len(signal.name) <= _LONGEST_NAME or not signal.name.strip():
        message = f"its name must be 1 to {_LONGEST_NAME} characters"
        raise ValueError(message)
    if signal.value is None and not signal.comment and signal.correction is None:
        message = "it says nothing: it needs a score, a label, a comment or a correction"
        raise ValueError(message)
    if too_deep(signal.correction) or too_deep(signal.metadata):
        message = f"a value is nested deeper than {DEEPEST} levels"
        raise ValueError(message)


def in_utc(time: datetime | None) -> datetime | None:
    """A time without a zone is taken as UTC. Raises ValueError for one that no calendar has."""
    if time is None:
        return None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        message = f"{time.isoformat()} is not a time in UTC's calendar"
        raise ValueError(message) from None


def refused(items: Sequence[Item]) -> list[tuple[int, str]]:
    """Place and reason of the items that were not taken."""
    return [(place, item.refusal) for place, item in enumerate(items) if item.refusal is not None]
