"""The source of the scoring loop: traces that are due, whole, as if they were records of a topic."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from capture.events import PieceBody, TraceSettled
from capture.ids import derive_id
from services.archive import Archive, Claim, DueTrace
from services.stream import envelope
from services.stream.port import Record

_POLL_SECONDS = 0.1  # how soon a trace that is due is noticed when nothing else happens


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


def _event_id(trace: DueTrace) -> str:
    return derive_id("settled", trace.project, trace.trace_id, str(trace.revision))
