"""capture's second half: keep what came of a trace until it has settled, then score it once.

Two loops. `Intake` reads `traces` and archives every piece under its trace, which makes the trace
due `settle_seconds` later. `Settling` is the source of the second loop: it hands out traces that
are due, whole, and `Scoring` decides whether they failed. A piece that comes later (feedback, a
late span) makes its trace due again: late is the same path as early.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, cast

import msgspec
import structlog

from capture.assemble import assemble
from capture.events import (
    Failure,
    FeedbackReceived,
    Piece,
    PieceBody,
    SpansReceived,
    TraceReceived,
    TraceSettled,
)
from capture.ids import derive_id, failure_event_id
from capture.scorers import examine, is_experiment, severity_of
from services.policy import Policies
from services.stream import envelope
from services.stream.outcome import DeadLetter, Emit, Event, Outcome, Skip
from services.stream.port import Record

log = structlog.get_logger()

_POLL_SECONDS = 0.1  # how soon a trace that is due is noticed when nothing else happens


class ArchivedPiece(msgspec.Struct, frozen=True):
    """A piece as the archive keeps it. `body` is the event's JSON."""

    project: str
    trace_id: str
    event_id: str
    schema: str
    body: bytes


class DueTrace(msgspec.Struct, frozen=True):
    """A trace that has gone quiet, with all its pieces in order of arrival; none if it is too large.

    `revision` rises with every new piece, so that settling never overlooks one that came meanwhile.
    """

    project: str
    trace_id: str
    revision: int
    failed: bool
    pieces: tuple[ArchivedPiece, ...]


class Claim(Protocol):
    """Due traces that this worker alone has in hand."""

    @property
    def traces(self) -> Sequence[DueTrace]:
        """The traces; never two of the same id."""

    async def settle(self, failed: Sequence[bool]) -> None:
        """Say of each trace whether it failed, and let go. A failed trace stays failed.

        A trace whose revision has moved on stays due. A claim that was lost meanwhile (the database
        went away) settles all the same, by revision. Raises `Unavailable`; settle again then.
        """

    async def abandon(self) -> None:
        """Let go without settling; the traces are still due. Never raises."""


class Archive(Protocol):
    """Traces as they came, and which of them are due."""

    async def add(
        self, pieces: Sequence[ArchivedPiece], *, now_ms: int, due_ms: int, again: bool = False
    ) -> int:
        """Keep pieces (each once, by project, trace and event id); return how many were new.

        Traces that gained a piece become due at `due_ms`; with `again` all of them do, and none
        counts as failed any more: what came of it before was a dead letter. Raises `Unavailable`.
        """

    async def rescore(self, project: str, trace_id: str, *, due_ms: int) -> bool:
        """The same for a trace that is here with all its pieces; False when it is not (any more).

        Raises `Unavailable`.
        """

    async def claim_due(self, *, now_ms: int, limit: int) -> Claim:
        """Take up to `limit` due traces, longest due first, that no other worker has in hand.

        Raises `Unavailable`.
        """


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


class Settling:
    """Source of the second loop: traces that are due, as records."""

    def __init__(self, archive: Archive, topic: str, *, clock_ms: Callable[[], int]) -> None:
        """`topic` is where a parked trace goes back to when it is replayed."""
        self._archive = archive
        self._topic = topic
        self._clock_ms = clock_ms
        self._claim: Claim | None = None
        self._failed: set[str] = set()

    def failed(self, event: TraceSettled) -> None:
        """Remember the verdict on a trace in hand, for the commit."""
        self._failed.add(event.event_id)

    async def fetch(self, *, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Traces that are due, or nothing after `wait_seconds`."""
        await self._abandon()
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            now = self._clock_ms()
            claim = await self._archive.claim_due(now_ms=now, limit=limit)
            if claim.traces:
                self._claim = claim
                return [self._record(trace, now) for trace in claim.traces]
            await claim.abandon()
            if asyncio.get_running_loop().time() + _POLL_SECONDS > deadline:
                return ()
            await asyncio.sleep(_POLL_SECONDS)

    async def commit(self, records: Sequence[Record]) -> None:  # noqa: ARG002 - the claim knows them
        """Settle what was fetched."""
        if self._claim is None:
            return
        verdicts = [
            trace.failed or _event_id(trace) in self._failed for trace in self._claim.traces
        ]
        await self._claim.settle(verdicts)
        self._claim = None
        self._failed.clear()

    async def close(self) -> None:
        """Let go of what is in hand."""
        await self._abandon()

    async def _abandon(self) -> None:
        self._failed.clear()
        if self._claim is not None:
            claim, self._claim = self._claim, None
            await claim.abandon()

    def _record(self, trace: DueTrace, now_ms: int) -> Record:
        event = TraceSettled(
            event_id=_event_id(trace),
            project=trace.project,
            trace_id=trace.trace_id,
            already_failed=trace.failed,
            pieces=tuple(PieceBody(p.schema, msgspec.Raw(p.body)) for p in trace.pieces),
        )
        message = envelope.encode(event, self._topic)
        place = int(event.event_id[:15], 16)  # stands for an offset: the same after a restart
        return Record(self._topic, -1, place, message.key, message.value, message.headers, now_ms)


class Scoring:
    """Handler of the second loop: did this trace fail?"""

    accepts = (TraceSettled,)

    def __init__(
        self,
        policies: Policies,
        *,
        clock: Callable[[], datetime],
        on_failed: Callable[[TraceSettled], None],
    ) -> None:
        """`clock` gives the server's time in UTC; `on_failed` is told of every failed trace."""
        self._policies = policies
        self._clock = clock
        self._on_failed = on_failed

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Score each trace once."""
        return [await self._decide(event) for event in cast("Sequence[TraceSettled]", events)]

    async def _decide(self, event: TraceSettled) -> Outcome:
        if event.already_failed:
            return Skip("already_failed")
        pieces: list[Piece] = [
            envelope.decode_body(piece.schema, bytes(piece.body)) for piece in event.pieces
        ]
        if not pieces:
            self._on_failed(event)  # once is enough: with what comes later it is no smaller
            return DeadLetter("too_large", "its pieces together are too large to be read at once")
        trace = assemble(pieces)
        if trace is None:
            return Skip("archived")
        if is_experiment(trace):
            return Skip("experiment")
        policy = await self._policies.of(trace.project)
        examined = examine(trace, policy.scoring)
        for problem in examined.problems:
            log.warning(
                "scorer_failed",
                project=trace.project,
                trace_id=trace.trace_id,
                scorer=problem.scorer,
                detail=problem.detail,
            )
        signals = examined.signals
        if not signals:
            return Skip("passed")
        self._on_failed(event)
        return Emit(
            Failure(
                event_id=failure_event_id(trace.project, trace.trace_id),
                trace=trace,
                signals=signals,
                severity=severity_of(signals),
                failed_at=self._clock(),
            )
        )


def _event_id(trace: DueTrace) -> str:
    return derive_id("settled", trace.project, trace.trace_id, str(trace.revision))


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
