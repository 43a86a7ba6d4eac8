"""capture's third loop: did this trace, now that it has settled, fail?"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, cast

import msgspec
import structlog

from capture.assemble import assemble, is_complete
from capture.events import (
    FailingSignal,
    Failure,
    Fault,
    FeedbackReceived,
    Piece,
    TraceSettled,
)
from capture.experiments import is_experiment
from capture.ids import failure_event_id
from capture.policy import ScoringPolicy
from capture.redaction.placeholder import numbered
from capture.scorers import Examination, failure_fault, severity_of
from capture.scoring.endings import INCOMPLETE
from capture.trace import Trace
from services.archive import TraceState, Verdict
from services.policy import Policies, Policy
from services.stream import envelope
from services.stream.outcome import DeadLetter, Emit, Event, Outcome, Skip, SkipReason

log = structlog.get_logger()

_MOST_KEPT = 100  # failing signals, and problems, that are remembered of one trace
_LONGEST_PROBLEM = 300
_INLINE_BYTES = 512 * 1024  # 10 ms of putting a trace together; a larger one goes to a thread
_TRACES_A_BREATH = 4  # 2 ms of traces of ten spans

Judged = tuple[Verdict, Outcome]
"""What is remembered of a trace, and what follows from it."""


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
        on_verdict: Callable[[TraceSettled, Verdict], None],
        on_failure: Callable[[str, Fault], None] = lambda _project, _fault: None,
    ) -> None:
        """`clock` gives the server's time in UTC; `on_verdict` is told what was found of every trace.

        `on_failure` is told the project and the fault of every failure that is emitted.
        """
        self._policies = policies
        self._examiner = examiner
        self._clock = clock
        self._on_verdict = on_verdict
        self._on_failure = on_failure

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Score each trace once; at the same time where one has to wait for a model or a process."""
        settled = cast("Sequence[TraceSettled]", events)
        outcomes: list[Outcome] = []
        if not await self._waits(settled):
            for place, event in enumerate(settled):
                if place % _TRACES_A_BREATH == 0:
                    await asyncio.sleep(0)  # requests that came meanwhile go first
                outcomes.append(await self._decide(event))
            return outcomes
        decided = await asyncio.gather(*map(self._decide, settled), return_exceptions=True)
        for one in decided:
            if isinstance(one, BaseException):
                raise one
            outcomes.append(one)
        return outcomes

    async def _waits(self, events: Sequence[TraceSettled]) -> bool:
        for project in {event.project for event in events}:
            if (await self._policies.of(project)).scoring.asks_elsewhere:
                return True
        return False

    async def _decide(self, event: TraceSettled) -> Outcome:
        verdict, outcome = await self._judged(event)
        self._on_verdict(event, verdict)
        return outcome

    async def _judged(self, event: TraceSettled) -> Judged:
        if not event.pieces:
            # once is enough: with what comes later it is no smaller
            outcome: Outcome = Skip("already_failed")
            if not event.already_failed:
                outcome = DeadLetter("too_large", "its pieces are too large to be read at once")
            return _verdict(event, "left_out", why="too_large"), outcome
        if sum(memoryview(one.body).nbytes for one in event.pieces) > _INLINE_BYTES:
            read = await asyncio.to_thread(_read, event)
        else:
            read = _read(event)
        if read.trace is None:
            reason: SkipReason = "waiting" if read.told else "archived"
            return _verdict(event, "waiting", look_again=read.told and not event.final), Skip(
                reason
            )
        trace = read.trace
        truncated = not read.complete or event.unquiet
        if truncated:
            metadata = {**trace.metadata, INCOMPLETE: True}
            trace = msgspec.structs.replace(trace, metadata=metadata)
        version, policy = await self._policies.versioned(trace.project)
        verdict, outcome = await self._scored(event, trace, policy)
        found: dict[str, Any] = {"policy_version": version, "truncated": truncated}
        if trace.session_id is not None:
            found["session_id"] = trace.session_id
        return msgspec.structs.replace(verdict, **found), outcome

    async def _scored(self, event: TraceSettled, trace: Trace, policy: Policy) -> Judged:
        drop_ms = self._now_ms() + round(policy.intake.drop_after_seconds * 1000)
        if is_experiment(trace):
            return _verdict(event, "left_out", why="experiment"), Skip("experiment")
        if not policy.intake.environments.admits(trace.environment):
            left = _verdict(event, "left_out", why="environment", drop_ms=drop_ms)
            return left, Skip("environment")
        examined = await self._examiner.examine(trace, policy.scoring)
        problems = tuple(f"{one.scorer}: {one.detail}" for one in examined.problems)
        for problem in problems:
            log.warning(
                "scorer_failed", project=trace.project, trace_id=trace.trace_id, detail=problem
            )
        problems = tuple(problem[:_LONGEST_PROBLEM] for problem in problems[:_MOST_KEPT])
        signals = examined.signals
        if not signals:
            # what a scorer could not judge is not known to be good: `rescore` has to find it
            drop = None if problems or policy.intake.keeps(trace.trace_id) else drop_ms
            return _verdict(event, "passed", problems=problems, drop_ms=drop), Skip("passed")
        failing = merged(event.failing, signals)
        verdict = _verdict(event, "failed", problems=problems, failing=failing)
        if failing == event.failing:
            return verdict, Skip("already_failed")
        return verdict, Emit(self._failure(trace, signals))

    def _failure(self, trace: Trace, signals: tuple[FailingSignal, ...]) -> Failure:
        fault = failure_fault(signals)
        self._on_failure(trace.project, fault)
        return Failure(
            event_id=failure_event_id(trace.project, trace.trace_id),
            trace=trace,
            signals=signals,
            severity=severity_of(signals),
            failed_at=self._clock(),
            fault=fault,
        )

    def _now_ms(self) -> int:
        return round(self._clock().timestamp() * 1000)


class _Read(NamedTuple):
    """What the pieces of a trace say: whether there is more than feedback, whether all is there."""

    told: bool
    complete: bool
    trace: Trace | None


def _read(event: TraceSettled) -> _Read:
    """A trace from its pieces; none while more is waited for, and of nothing but feedback."""
    pieces: list[Piece] = [envelope.decode_body(one.schema, one.body) for one in event.pieces]
    told = any(not isinstance(one, FeedbackReceived) for one in pieces)
    complete = is_complete(pieces)
    trace = assemble(pieces) if complete or event.final else None
    return _Read(told, complete, None if trace is None else numbered(trace))


def merged(before: tuple[str, ...], signals: Sequence[FailingSignal]) -> tuple[str, ...]:
    """The failing signals that were emitted, with these; the same tuple when none is new.

    A signal is its name and its scorer: another value, or another version of the scorer, is no news.
    """
    names = [f"{signal.name} ({signal.scorer.rpartition('/')[0]})" for signal in signals]
    new = [name for name in dict.fromkeys(names) if name not in before]
    return (*before, *new[: _MOST_KEPT - len(before)]) if len(before) < _MOST_KEPT else before


def _verdict(event: TraceSettled, state: TraceState, **found: Any) -> Verdict:
    """A verdict; a trace that failed stays failed, and is kept."""
    if event.failing:
        found |= {"drop_ms": None, "failing": found.get("failing", event.failing)}
        state = "failed"
    return Verdict(state=state, **found)
