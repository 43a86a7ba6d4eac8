"""capture's second loop: every piece that arrives goes to its trace in the archive.

Archiving makes a trace due `settle_seconds` later. A piece that comes later (feedback, a late span)
makes its trace due again: late is the same path as early.
"""

from collections.abc import Callable, Sequence

from capture.events import FeedbackReceived, SpansReceived, TraceReceived, TraceSettled
from services.archive import Archive, ArchivedPiece
from services.stream import envelope
from services.stream.outcome import DeadLetter, Event, Outcome, Skip


class Intake:
    """Handler of the first loop: every piece goes to its trace in the archive."""

    accepts = (TraceReceived, SpansReceived, FeedbackReceived, TraceSettled)

    def __init__(
        self, archive: Archive, *, settle_seconds: float, clock_ms: Callable[[], int]
    ) -> None:
        """Traces are due `settle_seconds` after their latest piece."""
        self._archive = archive
        self._settle_ms = round(settle_seconds * 1000)
        self._clock_ms = clock_ms

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Archive the batch in one transaction."""
        now = self._clock_ms()
        due = now + self._settle_ms
        replayed = [event for event in events if isinstance(event, TraceSettled)]
        pieces = [_archived(event) for event in events if not isinstance(event, TraceSettled)]
        if pieces:
            await self._archive.add(pieces, now_ms=now, due_ms=due)
        outcomes: dict[str, Outcome] = {
            trace.event_id: await self._replay(trace, now_ms=now, due_ms=due) for trace in replayed
        }
        return [outcomes.get(event.event_id, Skip("archived")) for event in events]

    async def _replay(self, trace: TraceSettled, *, now_ms: int, due_ms: int) -> Outcome:
        """Score a trace once more; one that was too large to be parked is in the archive alone."""
        if trace.pieces:
            await self._archive.add(_pieces_of(trace), now_ms=now_ms, due_ms=due_ms, again=True)
        elif not await self._archive.rescore(trace.project, trace.trace_id, due_ms=due_ms):
            return DeadLetter("handler_error", "the archive does not have this trace any more")
        return Skip("archived")


def _archived(event: Event) -> ArchivedPiece:
    body = envelope.encode_body(event)
    schema = envelope.schema_of(event)
    return ArchivedPiece(event.project, event.trace_id, event.event_id, schema, body)


def _pieces_of(trace: TraceSettled) -> list[ArchivedPiece]:
    bodies = [(piece.schema, bytes(piece.body)) for piece in trace.pieces]
    return [
        ArchivedPiece(
            trace.project,
            trace.trace_id,
            envelope.decode_body(schema, body).event_id,
            schema,
            body,
        )
        for schema, body in bodies
    ]
