"""OTLP log records: verdicts become feedback, messages of a model call join its span.

evalratchet keeps no logs. What is taken are GenAI events (which OpenTelemetry sends as log records):
`gen_ai.evaluation.*` and user feedback, and the events that tell what a model was shown and answered,
which some instrumentation packages send beside their spans instead of in them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from capture.conventions.genai_events import MESSAGE_EVENTS
from capture.evaluations import is_evaluation, signal_of
from capture.events import FeedbackReceived, Piece, Span
from capture.otlp.gather import (
    SPAN_ID_DIGITS,
    TRACE_ID_DIGITS,
    Received,
    RejectedSpan,
    gather,
    id_problem,
)
from capture.otlp.project import project_of

ORDINARY = (
    "evalratchet keeps no logs, only GenAI events (event_name gen_ai.evaluation.result, "
    "gen_ai.evaluation.user_feedback, gen_ai.client.inference.operation.details, gen_ai.*.message, "
    "gen_ai.choice): send other logs to your logs backend"
)
_SESSIONS = ("gen_ai.conversation.id", "session.id")
_LONGEST_SESSION = 120  # characters: `session:` and it are at most the 128 of a trace id
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogRecord(msgspec.Struct, frozen=True):
    """A log record as plain JSON. Ids are hexadecimal digits as sent, empty when not given."""

    event: str
    trace_id: str
    span_id: str
    time_ns: int
    attributes: dict[str, Any]
    body: Any


class DecodedLogs(msgspec.Struct, frozen=True):
    """What a request's records become, and how many of them were not taken for which reason."""

    pieces: tuple[Piece, ...] = ()
    rejected: Mapping[str, int] = {}


def sort_out(
    records: Iterable[tuple[dict[str, Any], LogRecord | str]],
    *,
    header_project: str | None,
    max_bytes: int,
) -> DecodedLogs:
    """Pieces of the records, each with its resource; a text is a record that cannot be read."""
    feedback: list[FeedbackReceived] = []
    messages: list[Received | RejectedSpan] = []
    rejected: Counter[str] = Counter()
    for resource, record in records:
        if isinstance(record, str):
            rejected[record] += 1
            continue
        try:
            if is_evaluation(record.event):
                feedback.append(_feedback(record, project_of(resource, header_project), max_bytes))
            elif record.event in MESSAGE_EVENTS:
                messages.append(_of_span(record, resource))
            else:
                rejected[ORDINARY] += 1
        except ValueError as error:
            rejected[str(error)] += 1
    gathered = gather(messages, header_project=header_project, max_bytes=max_bytes)
    rejected.update(span.reason for span in gathered.rejected)
    return DecodedLogs((*feedback, *gathered.pieces), rejected)


def _feedback(record: LogRecord, project: str, max_bytes: int) -> FeedbackReceived:
    """Raises ValueError when the record says nothing, or not about what."""
    said = (
        {**record.body, **record.attributes} if isinstance(record.body, dict) else record.attributes
    )
    signal = msgspec.structs.replace(signal_of(record.event, said), at=_time(record.time_ns))
    trace_id, span_id, session = record.trace_id.lower(), record.span_id.lower(), _session(said)
    if trace_id.strip("0"):
        _check("trace_id", trace_id, TRACE_ID_DIGITS)
    if span_id.strip("0"):
        _check("span_id", span_id, SPAN_ID_DIGITS)
    else:
        span_id = ""
    if not trace_id.strip("0"):
        if not span_id and session is None:
            message = (
                f"the event {record.event} has no trace id, so what it judges is not known: send it "
                "in the context of the span it judges, or with gen_ai.conversation.id"
            )
            raise ValueError(message)
        trace_id = f"span:{span_id}" if span_id else f"session:{session}"
    feedback = FeedbackReceived(
        event_id="",
        project=project,
        trace_id=trace_id,
        signal=signal,
        span_id=span_id or None,
        session_id=session if trace_id.startswith("session:") else None,
    )
    if (size := len(msgspec.json.encode(feedback))) > max_bytes:
        message = f"the event has {size} bytes as JSON, the limit is {max_bytes}"
        raise ValueError(message)
    return feedback


def _session(said: Mapping[str, Any]) -> str | None:
    for name in _SESSIONS:
        session = said.get(name)
        if isinstance(session, str) and session.strip() and session.isprintable():
            return session if len(session) <= _LONGEST_SESSION else None
    return None


def _of_span(record: LogRecord, resource: dict[str, Any]) -> Received:
    """A telling of the record's span that knows nothing but this event of it."""
    trace_id, span_id = record.trace_id.lower(), record.span_id.lower()
    _check("trace_id", trace_id, TRACE_ID_DIGITS)
    _check("span_id", span_id, SPAN_ID_DIGITS)
    body = record.body if isinstance(record.body, dict) else {"content": record.body}
    attributes = {**body, **record.attributes} if record.body is not None else record.attributes
    event = {"name": record.event, "time_ns": record.time_ns, "attributes": attributes}
    span = Span(span_id=span_id, start_ns=record.time_ns, events=(event,), partial=True)
    return Received(resource, trace_id, span)


def _check(what: str, value: str, digits: int) -> None:
    problem = id_problem(what, value, digits)
    if problem is not None:
        raise ValueError(problem)


def _time(nanoseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000) if nanoseconds else None
    except OverflowError:
        return None
