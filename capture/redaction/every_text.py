"""Every text of pieces that a model may be asked about."""

from collections.abc import Iterable
from typing import Any

from capture.events import Piece, SpansReceived, TraceReceived
from capture.redaction.walk import Walk


def texts_of(pieces: Iterable[Piece]) -> list[str]:
    """Every text of the pieces that a model may be asked about, once, in order."""
    seen: dict[str, None] = {}

    def noted(text: str, _: str) -> str:
        seen.setdefault(text)
        return text

    walk = Walk(noted, lambda name, _: name, lambda number, _: number)
    for piece in pieces:
        if isinstance(piece, TraceReceived):
            trace = piece.trace
            said: list[Any] = [
                trace.input,
                trace.output,
                trace.metadata,
                trace.user_id,
                trace.session_id,
            ]
            said += [v for s in trace.steps for v in (s.content, s.arguments, s.error)]
            said += [
                v
                for s in trace.signals
                for v in (s.comment, s.value, s.label, s.correction, s.metadata)
            ]
        elif isinstance(piece, SpansReceived):
            said = [piece.resource]
            said += [
                v for s in piece.spans for v in (s.attributes, s.events, s.status_message, s.name)
            ]
        else:
            told = piece.signal
            said = [told.comment, told.value, told.label, told.correction, told.metadata]
        walk.value(said)
    return list(seen)
