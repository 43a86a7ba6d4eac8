"""Asks a model about traces, and never twice about the same."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from capture.ids import derive_id
from capture.scoring.judge import Judgement, JudgeScorer, read
from capture.scoring.scorer import Said, Trouble
from capture.trace import Trace
from services.judge.client import ModelClient, ModelRefused, ModelUnavailable

_UNSET = (
    "no judge is set up: set EVALRATCHET_JUDGE_URL and EVALRATCHET_JUDGE_MODEL where capture runs"
)
_CATCH_UP = "; `evalratchet rescore` catches up"


class Judgements(Protocol):
    """Answers that a model gave, by what it was asked."""

    async def find(self, project: str, question_id: str) -> str | None:
        """The answer, if there is one. Raises `Unavailable`."""

    async def keep(self, project: str, question_id: str, answer: str, *, now_ms: int) -> None:
        """Keep an answer; of one question the first. Raises `Unavailable`."""


class Judge:
    """Asks the model of the settings; answers are kept before they count.

    A question is the model, the rubric and the record of the trace. What was answered once is not
    asked again, after a restart neither: only an answer that was lost with the process is.
    """

    def __init__(
        self, client: ModelClient | None, judgements: Judgements, *, clock_ms: Callable[[], int]
    ) -> None:
        """`client` is None where no model is set up: then every question is a trouble."""
        self._client = client
        self._judgements = judgements
        self._clock_ms = clock_ms

    async def ask(self, scorer: JudgeScorer, trace: Trace) -> Sequence[Said]:
        """What the model said of the trace; why nothing is known, as a trouble.

        Raises `services.errors.Unavailable` when the store of answers is not there.
        """
        client = self._client
        if client is None:
            return (Trouble(_UNSET + _CATCH_UP),)
        messages = scorer.messages(trace)
        model = scorer.model or client.model
        question_id = derive_id("judgement", model, msgspec.json.encode(messages))
        answer = await self._judgements.find(trace.project, question_id)
        if answer is None:
            try:
                answer = await client.ask(messages, model=model)
            except (ModelUnavailable, ModelRefused) as error:
                return (Trouble(str(error) + _CATCH_UP),)
            if isinstance(read(answer), Judgement):
                now = self._clock_ms()
                await self._judgements.keep(trace.project, question_id, answer, now_ms=now)
        return scorer.verdict(answer)

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.close()
