"""Asks all scorers of a policy about a trace."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from capture.policy import ScoringPolicy
from capture.scorers import (
    Examination,
    Saying,
    asked_elsewhere,
    examine,
    examine_with,
    prepare,
)
from capture.scoring.judge import JudgeScorer
from capture.scoring.own_code import PythonScorer
from capture.scoring.scorer import RemoteScorer, Said, Trouble
from capture.trace import Trace
from services.errors import Unavailable, is_fatal

_MOST_PREPARED = 1000  # policies remembered as ready; beyond that all are made ready again


class AsksPython(Protocol):
    """Scorers in Python of a project's own."""

    async def ask(self, scorer: PythonScorer, trace: Trace) -> Sequence[Said]:
        """What the function said of the trace."""

    async def close(self) -> None:
        """Let go of what it holds."""


class AsksModel(Protocol):
    """A judge."""

    async def ask(self, scorer: JudgeScorer, trace: Trace) -> Sequence[Said]:
        """What the model said of the trace. Raises `Unavailable`: the store is not there."""

    async def close(self) -> None:
        """Let go of what it holds."""


class ScorerExaminer:
    """Asks scorers that only think here and now, and the others where they are answered."""

    def __init__(
        self,
        own: AsksPython | None = None,
        judge: AsksModel | None = None,
        *,
        on_problem: Callable[[str, str], None] = lambda _project, _scorer: None,
    ) -> None:
        """`on_problem` is told the project and the scorer of every problem."""
        self._own = own
        self._judge = judge
        self._on_problem = on_problem
        self._prepared: set[bytes] = set()

    async def examine(self, trace: Trace, policy: ScoringPolicy) -> Examination:
        """What every scorer said of the trace. Raises `Unavailable`: what was judged cannot be kept."""
        if policy.content not in self._prepared:
            await self._prepare(policy)
        asked = asked_elsewhere(trace, policy)
        if asked:
            examined = examine_with(trace, policy, await self._elsewhere(trace, asked))
        else:
            examined = examine(trace, policy)
        for problem in examined.problems:
            self._on_problem(trace.project, problem.scorer)
        return examined

    async def close(self) -> None:
        """Let go of the worker and the connections."""
        for one in (self._own, self._judge):
            if one is not None:
                await one.close()

    async def _prepare(self, policy: ScoringPolicy) -> None:
        await asyncio.to_thread(prepare, policy)  # one of the kinds loads a model of a second
        if len(self._prepared) >= _MOST_PREPARED:
            self._prepared.clear()
        self._prepared.add(policy.content)

    async def _elsewhere(self, trace: Trace, scorers: Sequence[RemoteScorer]) -> list[Saying]:
        answers = await asyncio.gather(
            *(self._ask(scorer, trace) for scorer in scorers), return_exceptions=True
        )
        said: list[Saying] = []
        for scorer, answer in zip(scorers, answers, strict=True):
            if isinstance(answer, BaseException):
                if isinstance(answer, Unavailable) or is_fatal(answer):
                    raise answer
                said.append((scorer, (Trouble(f"{type(answer).__name__}: {answer}"),)))
            else:
                said.append((scorer, answer))
        return said

    async def _ask(self, scorer: RemoteScorer, trace: Trace) -> Sequence[Said]:
        if isinstance(scorer, PythonScorer) and self._own is not None:
            return await self._own.ask(scorer, trace)
        if isinstance(scorer, JudgeScorer) and self._judge is not None:
            return await self._judge.ask(scorer, trace)
        return (Trouble(f"a scorer of type {scorer.kind} cannot be asked here"),)
