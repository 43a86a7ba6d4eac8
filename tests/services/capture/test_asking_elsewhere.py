"""Scorers that another process or a model answers, as the scoring loop asks them."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.scorers import Examination
from capture.trace import Trace
from services.errors import Unavailable
from services.policy import Policies, Policy
from services.scorer import Scoring
from services.stream.outcome import Skip

JUDGED = {"scorers": [{"type": "judge", "rubric": "r"}, {"type": "error"}]}


class Together:
    """An examiner that answers only once so many traces are in hand."""

    def __init__(self, traces: int) -> None:
        self.barrier = asyncio.Barrier(traces)
        self.broken: Exception | None = None

    async def examine(self, trace: Trace, policy: ScoringPolicy) -> Examination:
        await self.barrier.wait()
        if self.broken is not None and trace.trace_id == "t2":
            raise self.broken
        return Examination(())


@pytest.fixture
def judged(policy_store: Any) -> None:
    policy_store.policies["shop"] = Policy(scoring=msgspec.convert(JUDGED, ScoringPolicy))


@pytest.mark.timeout(10)
async def test_traces_that_wait_for_a_model_wait_together(
    judged: None, policy_store: Any, clock: Any, settled: Any, trace: Any
) -> None:
    """One after another, a batch would take longer than a loop may stand still."""
    scoring = Scoring(
        Policies(policy_store),
        Together(5),
        clock=clock.utc,
        on_verdict=lambda _event, _verdict: None,
    )
    batch = [settled(trace(f"t{n}")) for n in range(5)]
    assert await scoring.handle(batch) == [Skip("passed")] * 5


@pytest.mark.timeout(10)
async def test_a_store_that_goes_away_meanwhile_is_told_when_all_have_come_back(
    judged: None, policy_store: Any, clock: Any, settled: Any, trace: Any
) -> None:
    """Nothing may go on behind the loop's back: the batch is done again as a whole."""
    examiner = Together(3)
    examiner.broken = Unavailable("the store is down")
    scoring = Scoring(
        Policies(policy_store), examiner, clock=clock.utc, on_verdict=lambda _event, _verdict: None
    )
    before = asyncio.all_tasks()
    with pytest.raises(Unavailable):
        await scoring.handle([settled(trace(f"t{n}")) for n in range(3)])
    assert asyncio.all_tasks() == before


async def test_failures_are_counted_by_their_fault(
    policy_store: Any, clock: Any, settled: Any, trace: Any, feedback: Any
) -> None:
    from services.examiner import ScorerExaminer  # noqa: PLC0415 - used here alone

    counted: Counter[tuple[str, str]] = Counter()
    scoring = Scoring(
        Policies(policy_store),
        ScorerExaminer(),
        clock=clock.utc,
        on_verdict=lambda _event, _verdict: None,
        on_failure=lambda *what: counted.update([what]),
    )
    down = {"error.message": "Error code: 529 - Overloaded"}
    bad = settled(trace("t1"), feedback("t1"))
    outage = settled(trace("t2", metadata=down), feedback("t2"))
    outcomes = await scoring.handle([bad, outage, settled(trace("t3"))])
    assert counted == {("shop", "model"): 1, ("shop", "infrastructure"): 1}
    assert [one.event.fault for one in outcomes[:2]] == ["model", "infrastructure"]
