"""The native JSON formats: traces and feedback, one object or many, each item judged on its own."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, TypeVar

import msgspec

from capture.depth import DEEPEST, too_deep
from capture.events import FeedbackReceived, TraceReceived
from capture.ids import keyed_event_id
from capture.malformed import UNREADABLE, Malformed, json_trouble
from capture.trace import (
    LARGEST_COUNT,
    ProjectName,
    Signal,
    Step,
    Trace,
    TraceId,
)

RefusalCode = Literal[
    "invalid",  # not what the format asks for
    "too_large",  # longer than a trace may be
    "forbidden",  # the sender may not name this project
]


class Refused(msgspec.Struct, frozen=True):
    """An item that was not taken, and what to change about it."""

    code: RefusalCode
    message: str
    trace_id: str | None = None


class _Traces(msgspec.Struct):
    traces: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _Feedbacks(msgspec.Struct):
    feedback: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class Feedback(Signal, frozen=True, kw_only=True):
    """One signal about a trace, as it is posted."""

    project: ProjectName
    trace_id: TraceId
    source: str = "user"


class _Named(msgspec.Struct):
    trace_id: Any = None


def _only_known(known: type[msgspec.Struct], many: str) -> msgspec.json.Decoder[Any]:
    """Reads a body of many, each with no other names than the type's, and raises on any other."""
    fields = [
        (name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)
        for name in known.__struct_encode_fields__
    ]
    only = msgspec.defstruct(f"Only{known.__name__}", fields, forbid_unknown_fields=True)
    items = list[only] | msgspec.UnsetType  # type: ignore[valid-type] # made just now
    return msgspec.json.Decoder(msgspec.defstruct("Many", [(many, items, msgspec.UNSET)]))


Event = TypeVar("Event", TraceReceived, FeedbackReceived)

_traces_decoder = msgspec.json.Decoder(_Traces)
_feedbacks_decoder = msgspec.json.Decoder(_Feedbacks)
_trace_decoder = msgspec.json.Decoder(Trace)
_feedback_decoder = msgspec.json.Decoder(Feedback)
_named_decoder = msgspec.json.Decoder(_Named)
_names_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_only_traces_decoder = _only_known(Trace, "traces")
_only_feedbacks_decoder = _only_known(Feedback, "feedback")

_MOST_IGNORED = 20  # names told of one item: enough for a typo, and no echo of a large body
_LONGEST_IGNORED = 64  # characters of one


def decode_captures(
    body: bytes, *, max_bytes: int, idempotency_key: str | None = None
) -> list[TraceReceived | Refused]:
    """The traces in a body, in order: one native object, or `{"traces": [...]}`.

    Raises:
        Malformed: the body is neither, or a key was given for several.
    """
    items = _items(body, _traces_decoder, "traces", idempotency_key)
    return [_judged(item, _trace_received, max_bytes, idempotency_key) for item in items]


def decode_feedback(
    body: bytes, *, max_bytes: int, idempotency_key: str | None = None
) -> list[FeedbackReceived | Refused]:
    """The feedback in a body, in order: one object, or `{"feedback": [...]}`.

    Raises:
        Malformed: the body is neither, or a key was given for several.
    """
    items = _items(body, _feedbacks_decoder, "feedback", idempotency_key)
    return [_judged(item, _feedback_received, max_bytes, idempotency_key) for item in items]


def ignored_in_captures(body: bytes) -> dict[int, list[str]]:
    """Names of a body's traces that mean nothing here, by the trace's place; most have none.

    Unknown names are no error, or a newer client would break an older server; but a misspelt one
    would otherwise be lost without a word. At most 20 names an item, each cut at 64 characters.

    Raises:
        Malformed: as `decode_captures`.
    """
    if _nothing_ignored(body, _only_traces_decoder, "traces"):
        return {}
    return _ignored(_items(body, _traces_decoder, "traces", None), Trace)


def ignored_in_feedback(body: bytes) -> dict[int, list[str]]:
    """Names of a body's feedback that mean nothing here; as `ignored_in_captures`.

    Raises:
        Malformed: as `decode_feedback`.
    """
    if _nothing_ignored(body, _only_feedbacks_decoder, "feedback"):
        return {}
    return _ignored(_items(body, _feedbacks_decoder, "feedback", None), Feedback)


def _nothing_ignored(body: bytes, decoder: msgspec.json.Decoder[Any], many: str) -> bool:
    """Whether it is many, and all their names are known: told by one pass, since most are so."""
    try:
        return not isinstance(getattr(decoder.decode(body), many), msgspec.UnsetType)
    except UNREADABLE:
        return False


def _ignored(
    items: Sequence[msgspec.Raw | bytes], known: type[msgspec.Struct]
) -> dict[int, list[str]]:
    expected = frozenset(known.__struct_encode_fields__)
    told = ((index, _unknown_names(item, expected)) for index, item in enumerate(items))
    return {index: names for index, names in told if names}


def _unknown_names(item: msgspec.Raw | bytes, expected: frozenset[str]) -> list[str]:
    """In the order they came; none of what is no object."""
    try:
        names = _names_decoder.decode(item)
    except UNREADABLE:
        return []
    unknown = (name[:_LONGEST_IGNORED] for name in names if name not in expected)
    return list(islice(unknown, _MOST_IGNORED))


def _items(
    body: bytes, decoder: msgspec.json.Decoder[Any], name: str, idempotency_key: str | None
) -> Sequence[msgspec.Raw | bytes]:
    try:
        many = getattr(decoder.decode(body), name)
    except UNREADABLE as error:
        if isinstance(error, msgspec.ValidationError) and body.lstrip()[:1] == b"[":
            message = f'The body is an array; send {{"{name}": [...]}} instead'
        else:
            message = f"The body cannot be read: {json_trouble(error, body)}"
        raise Malformed(message) from error
    if isinstance(many, msgspec.UnsetType):
        return [body]
    if idempotency_key is not None:
        message = (
            f"An Idempotency-Key names a single object, and this body has `{name}`: leave the"
            " header away (a batch that is sent twice is recognised by its content)"
        )
        raise Malformed(message)
    items: list[msgspec.Raw] = many
    return items


def _judged(
    raw: msgspec.Raw | bytes,
    received: Callable[[msgspec.Raw | bytes, str | None], Event],
    max_bytes: int,
    idempotency_key: str | None,
) -> Event | Refused:
    size = len(memoryview(raw))
    if size > max_bytes:
        message = (
            f"the item has {size} bytes, the limit is {max_bytes} (EVALRATCHET_MAX_TRACE_BYTES)"
        )
        return Refused("too_large", message, _trace_id_in(raw))
    try:
        return received(raw, idempotency_key)
    except UNREADABLE as error:
        return Refused("invalid", json_trouble(error, bytes(raw)), _trace_id_in(raw))
    except ValueError as error:
        return Refused("invalid", str(error), _trace_id_in(raw))


def _trace_id_in(raw: msgspec.Raw | bytes) -> str | None:
    """The trace id of an item that was not taken, if it can be made out."""
    try:
        trace_id = _named_decoder.decode(raw).trace_id
    except UNREADABLE:
        return None
    return trace_id[:128] if isinstance(trace_id, str) else None


def _trace_received(raw: msgspec.Raw | bytes, idempotency_key: str | None) -> TraceReceived:
    trace = _trace_decoder.decode(raw)
    _check_identity(trace.project, trace.trace_id)
    _check_counts(trace)
    if any(too_deep(value) for value in _free_values(trace)):
        message = f"a value is nested deeper than {DEEPEST} levels"
        raise ValueError(message)
    trace = _in_utc(trace)
    event_id = keyed_event_id("trace", trace.project, idempotency_key) if idempotency_key else ""
    return TraceReceived(event_id=event_id, trace=trace)


def _feedback_received(raw: msgspec.Raw | bytes, idempotency_key: str | None) -> FeedbackReceived:
    wire = _feedback_decoder.decode(raw)
    _check_identity(wire.project, wire.trace_id)
    if wire.value is None and not wire.comment and wire.correction is None:
        message = (
            "feedback needs a `value` (true or false, a number, a label), a `comment` or a "
            "`correction`"
        )
        raise ValueError(message)
    if too_deep(wire.correction) or too_deep(wire.metadata):
        message = f"a value is nested deeper than {DEEPEST} levels"
        raise ValueError(message)
    said = {name: getattr(wire, name) for name in Signal.__struct_fields__}
    signal = _signal_in_utc(Signal(**said), "at")
    event_id = keyed_event_id("feedback", wire.project, idempotency_key) if idempotency_key else ""
    return FeedbackReceived(
        event_id=event_id, project=wire.project, trace_id=wire.trace_id, signal=signal
    )


def _check_identity(project: str, trace_id: str) -> None:
    """Names end up in keys, headers, logs and addresses: what cannot be printed has no place there."""
    for name, value in (("project", project), ("trace_id", trace_id)):
        if not value.isprintable():
            message = f"{name} {value!r} has characters that cannot be printed"
            raise ValueError(message)
        if not value.strip():
            message = f"{name} {value!r} is blank: give it at least one character that can be seen"
            raise ValueError(message)


def _check_counts(trace: Trace) -> None:
    for name, count in (("tokens_in", trace.tokens_in), ("tokens_out", trace.tokens_out)):
        if count is not None and count > LARGEST_COUNT:
            message = f"{name} is out of range: the largest that can be kept is {LARGEST_COUNT}"
            raise ValueError(message)


def _free_values(trace: Trace) -> Iterator[Any]:
    yield trace.input
    yield trace.output
    yield trace.metadata
    for step in trace.steps:
        yield step.content
        yield step.arguments
    for signal in trace.signals:
        yield signal.correction
        yield signal.metadata


def _in_utc(trace: Trace) -> Trace:
    """The trace with its times in UTC; a time without a zone is taken to be UTC already."""
    if any(step.started_at is not None for step in trace.steps):
        steps = tuple(_step_in_utc(step) for step in trace.steps)
        trace = msgspec.structs.replace(trace, steps=steps)
    if any(signal.at is not None for signal in trace.signals):
        signals = tuple(_signal_in_utc(signal) for signal in trace.signals)
        trace = msgspec.structs.replace(trace, signals=signals)
    if trace.started_at is not None:
        trace = msgspec.structs.replace(trace, started_at=_utc(trace.started_at))
    return trace


def _signal_in_utc(signal: Signal, name: str = "signals.at") -> Signal:
    if signal.at is None:
        return signal
    return msgspec.structs.replace(signal, at=_utc(signal.at, name))


def _step_in_utc(step: Step) -> Step:
    if step.started_at is None:
        return step
    return msgspec.structs.replace(step, started_at=_utc(step.started_at))


def _utc(time: datetime, name: str = "started_at") -> datetime:
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        message = f"{name} {time.isoformat()} is not a time in UTC's calendar"
        raise ValueError(message) from None
