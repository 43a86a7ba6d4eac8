"""Events to messages and back: a JSON body, and headers that say what the body is.

Golden bytes of every schema version stay decodable for ever (`tests/golden/`).
"""

from typing import Any

import msgspec

from capture.events import (
    Failure,
    FeedbackReceived,
    Piece,
    SpansReceived,
    TraceReceived,
    TraceSettled,
)
from capture.ids import sealed
from dedup.events import Assigned
from grade.events import Graded
from promote.events import CasePromoted
from services.errors import Undecodable
from services.stream.outcome import DeadLetter, Event
from services.stream.port import Headers, Message, Record

SCHEMAS: dict[str, type[Any]] = {
    "trace/1": TraceReceived,
    "spans/1": SpansReceived,
    "feedback/1": FeedbackReceived,
    "settled/1": TraceSettled,
    "failure/1": Failure,
    "assigned/1": Assigned,
    "graded/1": Graded,
    "case/1": CasePromoted,
}
"""Every schema this version reads. A new version of one is a new entry; none is ever removed."""

_schema_of = {kind: schema for schema, kind in SCHEMAS.items()}
_decoders = {schema: msgspec.json.Decoder(kind) for schema, kind in SCHEMAS.items()}
_encoder = msgspec.json.Encoder()


class UnknownSchema(Undecodable):
    """The header names a schema this version does not know."""


def schema_of(event: Event) -> str:
    """The schema an event is written in."""
    return _schema_of[type(event)]


def encode_body(event: Event) -> bytes:
    """An event's body: UTF-8 JSON without line breaks."""
    return _encoder.encode(event)


def key_of(project: str, trace_id: str) -> bytes:
    """Order is per project and trace, nothing more."""
    return f"{project}/{trace_id}".encode()


def encode(event: Event, topic: str, *, traceparent: str | None = None) -> Message:
    """The message that carries an event to a topic."""
    headers = _headers(event, event.event_id, traceparent)
    return Message(topic, key_of(event.project, event.trace_id), encode_body(event), headers)


def seal(piece: Piece, topic: str, *, traceparent: str | None = None) -> tuple[str, Message]:
    """A piece's event id, derived if it has none yet, and the message that carries it."""
    event_id, body = sealed(piece)
    headers = _headers(piece, event_id, traceparent)
    return event_id, Message(topic, key_of(piece.project, piece.trace_id), body, headers)


def _headers(event: Event, event_id: str, traceparent: str | None) -> Headers:
    named = (
        ("schema", schema_of(event).encode()),
        ("event_id", event_id.encode()),
        ("project", event.project.encode()),
    )
    return named if traceparent is None else (*named, ("traceparent", traceparent.encode()))


def decode_body(schema: str | None, body: bytes) -> Any:
    """The event in these bytes.

    Raises:
        UnknownSchema: the schema is missing or not one of `SCHEMAS`.
        Undecodable: the bytes are not an event of that schema; the message says where.
    """
    decoder = _decoders.get(schema or "")
    if decoder is None:
        known = ", ".join(SCHEMAS)
        message = f"schema header is {schema!r}; this version reads {known}"
        if schema is None:
            message = "it has no `schema` header: something else than evalratchet wrote it"
        raise UnknownSchema(message)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"not a {schema} event: {error}"
        raise Undecodable(message) from error


def decode(record: Record) -> Any:
    """The event a record carries. Raises as `decode_body`."""
    return decode_body(record.header("schema"), record.value)


def without_pieces(record: Record) -> Record:
    """A record that is too large to be parked: a settled trace by its name, as the archive has it.

    Anything else has nothing that could be left out but all of its bytes.
    """
    try:
        event = decode(record)
    except Undecodable:
        event = None
    if not isinstance(event, TraceSettled):
        return msgspec.structs.replace(record, value=b"")
    named = msgspec.structs.replace(event, pieces=())
    return msgspec.structs.replace(record, value=encode_body(named))


def dead_letter(record: Record, verdict: DeadLetter, *, topic: str, stage: str) -> Message:
    """The original bytes and headers, and beside them where they came from and what was wrong."""
    about: Headers = (
        ("dlq.stage", stage.encode()),
        ("dlq.reason", verdict.reason.encode()),
        ("dlq.detail", verdict.detail[:2000].encode("utf-8", "backslashreplace")),
        ("dlq.topic", record.topic.encode()),
        ("dlq.partition", str(record.partition).encode()),
        ("dlq.offset", str(record.offset).encode()),
    )
    original = tuple(header for header in record.headers if not header[0].startswith("dlq."))
    return Message(topic, record.key, record.value, original + about)


def revive(record: Record) -> Message:
    """A dead letter as the message it was, for the topic it came from."""
    topic = record.header("dlq.topic")
    if topic is None:
        message = f"{record.topic} offset {record.offset} does not say which topic it came from"
        raise Undecodable(message)
    original = tuple(header for header in record.headers if not header[0].startswith("dlq."))
    return Message(topic, record.key, record.value, original)
