"""The source of the scoring loop: traces that are due, whole, as if they were records of a topic."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from capture.events import PieceBody, TraceSettled
from capture.ids import derive_id
from services.archive import Archive, Claim, DueTrace, Settled, Verdict
from services.stream import envelope
from services.stream.port import Record

_POLL_SECONDS = 0.1  # how soon a trace that is due is noticed when nothing else happens
_PARKED = Verdict(state="left_out", why="dead_letter")


class Settling:
    """Source of the second loop: traces that are due, as records."""

    def __init__(
        self,
        archive: Archive,
        topic: str,
        *,
        clock_ms: Callable[[], int],
        settle_seconds: float = 5.0,
        settle_max_seconds: float = 3600.0,
    ) -> None:
        """`topic` is where a parked trace goes back to when it is replayed; times are as in `Intake`."""
        self._archive = archive
        self._topic = topic
        self._clock_ms = clock_ms
        self._settle_ms = round(settle_seconds * 1000)
        self._most_ms = max(round(settle_max_seconds * 1000), self._settle_ms)
        self._claim: Claim | None = None
        self._found: dict[str, Verdict] = {}

    def found(self, event: TraceSettled, verdict: Verdict) -> None:
        """Remember the verdict on a trace in hand, for the commit."""
        self._found[event.event_id] = verdict

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
        """Settle what was fetched. A trace without a verdict was parked."""
        if self._claim is None:
            return
        now = self._clock_ms()
        verdicts = [self._found.get(_event_id(one), _parked(one)) for one in self._claim.traces]
        await self._claim.settle(verdicts, Settled(now, now + self._settle_ms, now + self._most_ms))
        self._claim = None
        self._found.clear()

    async def close(self) -> None:
        """Let go of what is in hand."""
        await self._abandon()

    async def _abandon(self) -> None:
        self._found.clear()
        if self._claim is not None:
            claim, self._claim = self._claim, None
            await claim.abandon()

    def _record(self, trace: DueTrace, now_ms: int) -> Record:
        late = now_ms >= trace.until_ms
        event = TraceSettled(
            event_id=_event_id(trace),
            project=trace.project,
            trace_id=trace.trace_id,
            already_failed=bool(trace.failing) or trace.unreadable,
            failing=trace.failing,
            final=late or trace.scored,
            unquiet=late and trace.last_ms + self._settle_ms > now_ms,
            pieces=tuple(PieceBody(p.schema, msgspec.Raw(p.body)) for p in trace.pieces),
        )
        message = envelope.encode(event, self._topic)
        place = int(event.event_id[:15], 16)  # stands for an offset: the same after a restart
        return Record(self._topic, -1, place, message.key, message.value, message.headers, now_ms)


def _parked(trace: DueTrace) -> Verdict:
    """A trace that could not be handled; one that had failed stays failed."""
    if trace.failing:
        return Verdict(state="failed", why="dead_letter", failing=trace.failing)
    return _PARKED


def _event_id(trace: DueTrace) -> str:
    return derive_id("settled", trace.project, trace.trace_id, str(trace.revision))
