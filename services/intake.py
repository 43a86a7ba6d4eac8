"""capture's second loop: every piece that arrives goes to its trace in the archive.

Archiving makes a trace due `settle_seconds` later. A piece that comes later (feedback, a late span)
makes its trace due again: late is the same path as early.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from capture.events import FeedbackReceived, Piece, SpansReceived, TraceReceived, TraceSettled
from services.archive import Archive, ArchivedPiece, Naming
from services.stream import envelope
from services.stream.outcome import DeadLetter, Event, Outcome, Skip
from services.stream.port import Record

_PIECES = (TraceReceived, SpansReceived, FeedbackReceived)


def received(record: Record) -> Any:
    """A piece as the archive keeps it: with the very bytes it came in. Anything else as it is.

    All of a piece is decoded, so that none that nobody can read joins a trace. Raises as
    `envelope.decode`.
    """
    event = envelope.decode(record)
    if isinstance(event, _PIECES):
        return _archived(event, record.value)
    return event


class Intake:
    """Handler of the first loop: every piece goes to its trace in the archive."""

    accepts = (ArchivedPiece, TraceSettled)

    def __init__(
        self,
        archive: Archive,
        *,
        settle_seconds: float,
        settle_max_seconds: float = 3600.0,
        clock_ms: Callable[[], int],
    ) -> None:
        """Traces are due `settle_seconds` after their latest piece, `settle_max_seconds` after the first."""
        self._archive = archive
        self._settle_ms = round(settle_seconds * 1000)
        self._most_ms = max(round(settle_max_seconds * 1000), self._settle_ms)
        self._clock_ms = clock_ms

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Archive the batch in one transaction."""
        arrived = cast("Sequence[ArchivedPiece | TraceSettled]", events)
        replayed = [event for event in arrived if isinstance(event, TraceSettled)]
        pieces = [event for event in arrived if not isinstance(event, TraceSettled)]
        if pieces:
            await self._add(pieces, again=False)
        outcomes = {trace.event_id: await self._replay(trace) for trace in replayed}
        return [outcomes.get(event.event_id, Skip("archived")) for event in events]

    async def _add(self, pieces: Sequence[ArchivedPiece], *, again: bool) -> None:
        now = self._clock_ms()
        await self._archive.add(
            pieces,
            now_ms=now,
            due_ms=now + self._settle_ms,
            until_ms=now + self._most_ms,
            again=again,
        )

    async def _replay(self, trace: TraceSettled) -> Outcome:
        """Score a trace once more; one that was too large to be parked is in the archive alone."""
        due_ms = self._clock_ms() + self._settle_ms
        if trace.pieces:
            await self._add(_pieces_of(trace), again=True)
        elif not await self._archive.rescore(trace.project, trace.trace_id, due_ms=due_ms):
            return DeadLetter("handler_error", "the archive does not have this trace any more")
        return Skip("archived")


def _archived(piece: Piece, body: bytes) -> ArchivedPiece:
    spans: tuple[str, ...] = ()
    names: Naming = "trace"
    if isinstance(piece, SpansReceived):
        spans = tuple([span.span_id for span in piece.spans])
    elif isinstance(piece, FeedbackReceived):
        names = _named(piece)
    schema = envelope.schema_of(piece)
    return ArchivedPiece(piece.project, piece.trace_id, piece.event_id, schema, body, spans, names)


def _named(event: FeedbackReceived) -> Naming:
    """What feedback is about: a trace, or a span or a session whose trace the archive has to find."""
    if event.trace_id == f"span:{event.span_id}":
        return "span"
    return "session" if event.trace_id == f"session:{event.session_id}" else "trace"


def _pieces_of(trace: TraceSettled) -> list[ArchivedPiece]:
    pieces = []
    for one in trace.pieces:
        body = bytes(one.body)
        piece: Piece = envelope.decode_body(one.schema, body)
        spans = piece.spans if isinstance(piece, SpansReceived) else ()
        ids = tuple(span.span_id for span in spans)
        pieces.append(
            ArchivedPiece(trace.project, trace.trace_id, piece.event_id, one.schema, body, ids)
        )
    return pieces
