"""Langfuse's scores: https://api.reference.langfuse.com (Score, Ingestion).

A score has a name, a value whose meaning `dataType` tells, a comment, and what it is about: a trace,
an observation of it (a span) or a session.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from capture.events import FeedbackReceived
from capture.feedback.about import Item, about, in_utc, judged
from capture.ids import keyed_event_id
from capture.malformed import UNREADABLE, Malformed, json_trouble
from capture.trace import Signal

_SCORE_EVENT = "score-create"
_SILENT_EVENTS = frozenset({"sdk-log"})
_SOURCES = {"ANNOTATION": "annotator", "EVAL": "evaluation"}


class _Score(msgspec.Struct, rename="camel"):
    name: str
    value: bool | float | str | None = None
    id: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    observation_id: str | None = None
    dataset_run_id: str | None = None
    data_type: str | None = None
    comment: str | None = None
    source: str | None = None
    environment: str | None = None
    config_id: str | None = None
    metadata: Any = None
    timestamp: datetime | None = None


class _Event(msgspec.Struct):
    id: str
    type: str
    body: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: datetime | None = None


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


class Outcome(msgspec.Struct, frozen=True):
    """An ingestion event's answer: 201, or 400 with what to change."""

    item: Item
    status: Literal[201, 400]


_score_decoder = msgspec.json.Decoder(_Score)
_scores_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_event_decoder = msgspec.json.Decoder(_Event)
_batch_decoder = msgspec.json.Decoder(_Batch)


def decode_scores(
    body: bytes, *, project: str, max_bytes: int, now: datetime
) -> tuple[list[Item], bool]:
    """The scores in a body, in order, and whether it is a list of them: one score, or many.

    `now` is when scores without a time of their own were given: every post is a statement of its own.

    Raises:
        Malformed: the body is neither.
    """
    many = body.lstrip()[:1] == b"["
    try:
        raws = (
            _scores_decoder.decode(body) if many else [msgspec.json.decode(body, type=msgspec.Raw)]
        )
    except UNREADABLE as error:
        message = f"The body is neither a score nor a list of scores: {json_trouble(error, body)}"
        raise Malformed(message) from error

    def read(raw: msgspec.Raw) -> Item:
        score = _score_decoder.decode(raw)
        return Item(score.id, (_received(score, project, now, ""),))

    return [judged(raw, max_bytes, read, _id_in) for raw in raws], many


def decode_ingestion(body: bytes, *, project: str, max_bytes: int, now: datetime) -> list[Outcome]:
    """What becomes of each event of a batch. Scores are taken, and what older SDKs log of themselves.

    Raises:
        Malformed: the body is no batch.
    """
    try:
        raws = _batch_decoder.decode(body).batch
    except UNREADABLE as error:
        message = f"The body is not a batch of ingestion events: {json_trouble(error, body)}"
        raise Malformed(message) from error

    def read(raw: msgspec.Raw) -> Item:
        event = _event_decoder.decode(raw)
        if event.type in _SILENT_EVENTS:
            return Item(event.id)
        if event.type != _SCORE_EVENT:
            message = (
                f"{event.type} is not read here, only {_SCORE_EVENT}: traces come by OpenTelemetry, "
                "which the Langfuse SDKs send from version 3 (Python) and 4 (JavaScript) on; an "
                "older one has to be upgraded"
            )
            raise ValueError(message)
        score = _score_decoder.decode(event.body)
        key = keyed_event_id("feedback", project, f"langfuse:{event.id}")
        return Item(event.id, (_received(score, project, event.timestamp or now, key),))

    items = [judged(raw, max_bytes, read, _id_in) for raw in raws]
    return [Outcome(item, 201 if item.refusal is None else 400) for item in items]


def _received(score: _Score, project: str, now: datetime, event_id: str) -> FeedbackReceived:
    if score.dataset_run_id and not (score.trace_id or score.session_id):
        message = "it is about a dataset run: those are evals, whose scores are not kept here"
        raise ValueError(message)
    kind = (score.data_type or "").upper()
    value, comment, correction = score.value, score.comment, None
    if kind == "BOOLEAN" and isinstance(value, float):
        value = value != 0
    elif kind == "CORRECTION":
        value, correction = None, value if isinstance(value, str) else None
    elif kind == "TEXT" and isinstance(value, str):
        value, comment = None, "\n".join(text for text in (value, comment) if text)
    metadata = score.metadata if isinstance(score.metadata, dict) else {"metadata": score.metadata}
    told = {**metadata, "environment": score.environment, "config_id": score.config_id}
    signal = Signal(
        name=score.name,
        value=value,
        source=_SOURCES.get((score.source or "").upper(), "api"),
        comment=comment,
        correction=correction,
        id=score.id,
        at=in_utc(score.timestamp or now),
        metadata={name: value for name, value in told.items() if value is not None},
    )
    return about(
        project,
        signal,
        trace_id=score.trace_id,
        span_id=score.observation_id,
        session_id=score.session_id,
        event_id=event_id,
    )


def _id_in(item: Any) -> Any:
    return item.get("id")
