"""Has a model decide about doubtful decisions, where a project's policy asks for it.

Beside the path: nothing waits for it. What it does not decide stays for a person, and so does what a
person has opened again by undoing a split.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from capture.ids import derive_id
from dedup.grey import PROMPT, Opinion, agreed, messages, read, reason_of
from services.errors import Unavailable
from services.judge.client import ModelClient, ModelRefused, ModelUnavailable
from services.judge.judge import Judgements
from services.labelling import GreyDecision, GreyDecisions, settle_grey
from services.pattern_changes import NotPossible, PatternChanges
from services.policy import Policies

log = structlog.get_logger()

_ROUND_SECONDS = 60.0
_HOUR = 3600.0
_ASKED_AT_ONCE = 1000  # decisions of a project that one round looks at


class Projects(Protocol):
    """Which projects there are."""

    async def projects(self) -> Sequence[str]:
        """Every project that sent anything. Raises `Unavailable`."""


class GreyJudge:
    """Asks the model of the settings about doubtful decisions, at most so many in an hour."""

    def __init__(  # noqa: PLR0913 - every one of these is another port
        self,
        client: ModelClient,
        *,
        policies: Policies,
        projects: Projects,
        decisions: GreyDecisions,
        changes: PatternChanges,
        judgements: Judgements,
        clock: Callable[[], datetime],
        per_hour: int,
        memory_days: float,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """`memory_days`: how long answers are kept; older decisions would be asked about again.

        `per_hour` bounds the decisions that are asked about; each is two questions.
        """
        self._client = client
        self._policies = policies
        self._projects = projects
        self._decisions = decisions
        self._changes = changes
        self._judgements = judgements
        self._clock = clock
        self._per_hour = per_hour
        self._memory = timedelta(days=memory_days)
        self._ticks = ticks
        self._spent: deque[float] = deque()

    async def run(self) -> None:
        """Look for work every minute, until cancelled."""
        try:
            while True:
                await self._round_of_its_own()
                await asyncio.sleep(_ROUND_SECONDS)
        finally:
            await self._client.close()

    async def _round_of_its_own(self) -> None:
        try:
            await self.round()
        except Unavailable as error:
            log.warning("grey_judge_waits", why=str(error))
        except Exception:
            log.exception("grey_judge_failed")

    async def round(self) -> int:
        """Ask about what waits, within the budget; how many were decided. Raises `Unavailable`."""
        decided = 0
        for project in await self._projects.projects():
            if not (await self._policies.of(project)).dedup.grey_judge:
                continue
            try:
                async for _ in self._decided(project):
                    decided += 1
            except ModelUnavailable as error:
                log.warning("grey_judge_unavailable", why=str(error))
                return decided
            except ModelRefused as error:
                log.warning("grey_judge_refused", project=project, why=str(error))
                return decided
        return decided

    async def _decided(self, project: str) -> AsyncIterator[GreyDecision]:
        """What is decided of one project's. Raises what the client raises, and `Unavailable`.

        What waits is read anew after each verdict: it may have been about several decisions, and given
        the others' pattern another representative. None is looked at twice, or an undo that comes
        between would be judged away.
        """
        seen = set[str]()
        since = self._clock() - self._memory
        while True:
            waiting = await self._decisions.undecided(
                project, limit=_ASKED_AT_ONCE, since=since, untouched=True
            )
            for decision in waiting:
                if decision.event_id in seen:
                    continue
                seen.add(decision.event_id)
                if await self._judge(decision):
                    yield decision
                    break
            else:
                return

    async def _judge(self, decision: GreyDecision) -> bool:
        """Ask in both orders, and carry out what both answers say. Raises what the client raises."""
        orders = (
            (decision.text, decision.pattern_text),
            (decision.pattern_text, decision.text),
        )
        questions = [messages(*order) for order in orders]
        asked = [
            derive_id("grey", self._client.model, PROMPT, str(question)) for question in questions
        ]
        known = [await self._judgements.find(decision.project, one) for one in asked]
        if None in known and not self._allowed():
            return False
        opinions: list[Opinion | None] = []
        for question, question_id, answer in zip(questions, asked, known, strict=True):
            said = answer
            if said is None:
                said = await self._client.ask(question)
                now = int(self._clock().timestamp() * 1000)
                await self._judgements.keep(decision.project, question_id, said, now_ms=now)
            opinions.append(read(said))
        verdict = agreed(opinions)
        if verdict is None:
            return False
        by = f"judge {self._client.model} {PROMPT}"
        try:
            await settle_grey(
                decision,
                verdict,
                decisions=self._decisions,
                changes=self._changes,
                by=by,
                reason=reason_of(opinions),
                at=self._clock(),
            )
        except NotPossible as error:  # somebody was faster, or changed the pattern
            log.info("grey_judge_left_it", event_id=decision.event_id, why=str(error))
            return False
        log.info("grey_decided", event_id=decision.event_id, verdict=verdict, by=by)
        return True

    def _allowed(self) -> bool:
        """Whether the budget of the last hour has room for one more decision; takes it if so."""
        now = self._ticks()
        while self._spent and now - self._spent[0] >= _HOUR:
            self._spent.popleft()
        if len(self._spent) >= self._per_hour:
            return False
        self._spent.append(now)
        return True
