"""Arize Phoenix's annotations of spans, traces and sessions.

https://arize.com/docs/phoenix/sdk-api-reference: `{"data": [{name, annotator_kind, result: {label,
score, explanation}, identifier, metadata, span_id | trace_id | session_id}]}`.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from capture.feedback.about import Item, about, judged
from capture.malformed import UNREADABLE, Malformed, json_trouble
from capture.trace import Signal

Kind = Literal["span", "trace", "session"]

_SOURCES = {"HUMAN": "human", "LLM": "judge", "CODE": "evaluation"}


class _Result(msgspec.Struct):
    label: str | None = None
    score: float | None = None
    explanation: str | None = None


class _Annotation(msgspec.Struct):
    name: str
    annotator_kind: str
    result: _Result | None = None
    identifier: str | None = None
    metadata: dict[str, Any] | None = None
    span_id: str | None = None
    trace_id: str | None = None
    session_id: str | None = None


class _Annotations(msgspec.Struct):
    data: list[msgspec.Raw]


_annotation_decoder = msgspec.json.Decoder(_Annotation)
_annotations_decoder = msgspec.json.Decoder(_Annotations)


def decode_annotations(
    body: bytes, kind: Kind, *, project: str, max_bytes: int, now: datetime
) -> list[Item]:
    """The annotations in a body, in order; `now` is when they were made.

    Raises:
        Malformed: the body has no list of annotations.
    """
    try:
        raws = _annotations_decoder.decode(body).data
    except UNREADABLE as error:
        message = f"The body is no list of annotations: {json_trouble(error, body)}"
        raise Malformed(message) from error

    def read(raw: msgspec.Raw) -> Item:
        annotation = _annotation_decoder.decode(raw)
        meant = getattr(annotation, f"{kind}_id")
        if not meant:
            message = f"it has no {kind}_id"
            raise ValueError(message)
        result = annotation.result or _Result()
        signal = Signal(
            name=annotation.name,
            value=result.score if result.score is not None else result.label,
            label=result.label if result.score is not None else None,
            source=_SOURCES.get(annotation.annotator_kind.upper(), "annotator"),
            comment=result.explanation,
            id=annotation.identifier or None,
            at=now,
            metadata=annotation.metadata or {},
        )
        # Phoenix' own ids are lower-case hexadecimal digits, whatever was posted.
        named = {f"{kind}_id": meant if kind == "session" else meant.lower()}
        return Item(annotation.identifier, (about(project, signal, **named),))

    return [judged(raw, max_bytes, read, _id_in) for raw in raws]


def _id_in(item: Any) -> Any:
    return item.get("identifier")
