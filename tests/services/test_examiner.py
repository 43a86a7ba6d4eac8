"""Asking scorers here, in a worker and of a model; what fails to answer fails no trace."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.scoring.scorer import Finding, Said, Trouble
from capture.trace import Trace
from services.errors import Unavailable
from services.examiner import ScorerExaminer

TRACE = Trace(trace_id="t1", project="shop", latency_ms=60_000.0, output="x")
BAD = Finding(name="bad", reason="It is bad.")


def policy(*scorers: dict[str, Any]) -> ScoringPolicy:
    return msgspec.convert({"scorers": scorers}, ScoringPolicy)


LATENCY = {"type": "latency", "above_ms": 30_000}
JUDGE = {"type": "judge", "rubric": "r", "sample": 1, "severity": "critical"}
PYTHON = {"type": "python", "function": "m:f", "version": "7"}


class Answers:
    """A judge or a worker that gives one answer, or raises one error."""

    def __init__(self, answer: Sequence[Said] | Exception) -> None:
        self.answer = answer
        self.asked = 0
        self.closed = False

    async def ask(self, scorer: Any, trace: Trace) -> Sequence[Said]:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closed = True


async def test_signals_come_in_the_order_of_the_policy_with_name_and_version() -> None:
    examiner = ScorerExaminer(Answers([BAD]), Answers([BAD]))
    examined = await examiner.examine(TRACE, policy(JUDGE, LATENCY, PYTHON))
    assert [(one.scorer, one.severity) for one in examined.signals] == [
        ("judge/1", "critical"),
        ("latency/1", "medium"),
        ("python/7", "high"),
    ]


async def test_nobody_is_asked_about_a_trace_that_does_not_fit() -> None:
    judge = Answers([BAD])
    fits_not = JUDGE | {"when": {"model": ["gpt-*"]}}
    examined = await ScorerExaminer(None, judge).examine(TRACE, policy(fits_not))
    assert (examined.signals, judge.asked) == ((), 0)


@pytest.mark.parametrize("broken", [[Trouble("no answer")], ValueError("no answer")])
async def test_a_scorer_that_gives_no_answer_is_a_problem_and_is_counted(
    broken: Sequence[Said] | Exception,
) -> None:
    counted: list[tuple[str, str]] = []
    examiner = ScorerExaminer(Answers(broken), None, on_problem=lambda *what: counted.append(what))
    examined = await examiner.examine(TRACE, policy(PYTHON, LATENCY))
    assert [one.scorer for one in examined.signals] == ["latency/1"]
    (problem,) = examined.problems
    assert problem.scorer == "python/7"
    assert "no answer" in problem.detail
    assert counted == [("shop", "python/7")]


async def test_what_cannot_be_asked_here_is_said() -> None:
    examined = await ScorerExaminer().examine(TRACE, policy(JUDGE))
    assert "type judge cannot be asked here" in examined.problems[0].detail


async def test_a_store_that_is_down_is_waited_for_by_the_loop() -> None:
    examiner = ScorerExaminer(None, Answers(Unavailable("the store is down")))
    with pytest.raises(Unavailable):
        await examiner.examine(TRACE, policy(JUDGE, LATENCY))


async def test_an_outage_explains_what_a_judge_says_of_the_answer() -> None:
    """Nobody should have to look at a verdict on an error page."""
    down = msgspec.structs.replace(TRACE, metadata={"error.message": "503 Service Unavailable"})
    examined = await ScorerExaminer(None, Answers([BAD])).examine(down, policy(JUDGE))
    assert [one.fault for one in examined.signals] == ["infrastructure"]


async def test_closing_closes_both() -> None:
    own, judge = Answers([]), Answers([])
    await ScorerExaminer(own, judge).close()
    assert own.closed
    assert judge.closed
