"""capture's third loop: did this trace, now that it has settled, fail?"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, cast

import structlog

from capture.assemble import assemble
from capture.events import Failure, Piece, TraceSettled
from capture.ids import failure_event_id
from capture.policy import ScoringPolicy
from capture.scorers import Examination, is_experiment, severity_of
from capture.trace import Trace
from services.policy import Policies
from services.stream import envelope
from services.stream.outcome import DeadLetter, Emit, Event, Outcome, Skip

log = structlog.get_logger()


class Examiner(Protocol):
    """Asks a policy's scorers about a trace, those included that need another process or a model."""

    async def examine(self, trace: Trace, policy: ScoringPolicy) -> Examination:
        """What every scorer said. One that raises or takes too long is a problem, never a failure."""


class Scoring:
    """Handler of the second loop: did this trace fail?"""

    accepts = (TraceSettled,)

    def __init__(
        self,
        policies: Policies,
        examiner: Examiner,
        *,
        clock: Callable[[], datetime],
        on_failed: Callable[[TraceSettled], None],
    ) -> None:
        """`clock` gives the server's time in UTC; `on_failed` is told of every failed trace."""
        self._policies = policies
        self._examiner = examiner
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
        examined = await self._examiner.examine(trace, policy.scoring)
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
