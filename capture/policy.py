"""Which traces count as failures, as data: a project's scorers and their bounds."""

from functools import cached_property

import msgspec

from capture.scoring.bounds import CostScorer, LatencyScorer, SignalScorer, TokensScorer
from capture.scoring.endings import EmptyOutputScorer, ErrorScorer, TruncatedScorer
from capture.scoring.feedback import FeedbackScorer
from capture.scoring.judge import JudgeScorer
from capture.scoring.languages import LanguageScorer
from capture.scoring.own_code import PythonScorer
from capture.scoring.patterns import RegexScorer
from capture.scoring.refusal import RefusalScorer
from capture.scoring.schemas import JsonSchemaScorer
from capture.scoring.scorer import RemoteScorer
from capture.scoring.tool_calls import ToolCallScorer

__all__ = [
    "DEFAULT_SCORERS",
    "KINDS",
    "CostScorer",
    "EmptyOutputScorer",
    "ErrorScorer",
    "FeedbackScorer",
    "JsonSchemaScorer",
    "JudgeScorer",
    "LanguageScorer",
    "LatencyScorer",
    "PythonScorer",
    "RefusalScorer",
    "RegexScorer",
    "Scorer",
    "ScoringPolicy",
    "SignalScorer",
    "TokensScorer",
    "ToolCallScorer",
    "TruncatedScorer",
]

Scorer = (
    ErrorScorer
    | LatencyScorer
    | CostScorer
    | TokensScorer
    | EmptyOutputScorer
    | TruncatedScorer
    | JsonSchemaScorer
    | ToolCallScorer
    | RegexScorer
    | RefusalScorer
    | LanguageScorer
    | FeedbackScorer
    | SignalScorer
    | PythonScorer
    | JudgeScorer
)

KINDS: dict[str, type[Scorer]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        ErrorScorer,
        LatencyScorer,
        CostScorer,
        TokensScorer,
        EmptyOutputScorer,
        TruncatedScorer,
        JsonSchemaScorer,
        ToolCallScorer,
        RegexScorer,
        RefusalScorer,
        LanguageScorer,
        FeedbackScorer,
        SignalScorer,
        PythonScorer,
        JudgeScorer,
    )
}
"""Every kind of scorer by its `type` in a policy."""

DEFAULT_SCORERS: tuple[Scorer, ...] = (
    # An exception reached the user: nobody has to be asked whether that was right.
    ErrorScorer(),
    # Half a minute is where people leave a page that does not answer; a project that works in the
    # background raises it, a chat lowers it. Redo: the 99th percentile of the project's own traces.
    LatencyScorer(above_ms=30_000),
    # A thumb down is the cheapest label there is, and it is about this very answer.
    FeedbackScorer(),
    # The application's own word on whether it did what it was asked: anything short of all of it.
    SignalScorer(signal="task_resolved", below=1),
)


class ScoringPolicy(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True
):
    """A project's scorers. Every one of them is asked about every trace that fits its `when`.

    Raises:
        ValueError: two scorers have one name.
    """

    scorers: tuple[Scorer, ...] = DEFAULT_SCORERS

    def __post_init__(self) -> None:
        """Refuse two scorers of one name: nobody could tell whose verdict a signal is."""
        first: dict[str, int] = {}
        for place, scorer in enumerate(self.scorers, start=1):
            taken = first.setdefault(scorer.label, place)
            if taken != place:
                message = (
                    f"scorers {taken} and {place} are both named {scorer.label!r}: give one of them "
                    "another `name`"
                )
                raise ValueError(message)

    @cached_property
    def asks_elsewhere(self) -> bool:
        """Whether any scorer is answered by another process or a model."""
        return any(isinstance(scorer, RemoteScorer) for scorer in self.scorers)

    @cached_property
    def content(self) -> bytes:
        """The policy as JSON: the same for the same policy, whenever it was read."""
        return msgspec.json.encode(self)
