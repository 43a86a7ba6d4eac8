"""What people say about pairs of failures and about doubtful decisions, and what follows from it.

Ports, and the steps that need more than one of them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from dedup.geometry import Geometry
from dedup.labels import Answer, Source, Verdict, in_order
from services.pattern_changes import NotPossible, PatternChange, PatternChanges
from services.policy import Policy


class PairLabel(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said about two failure texts, named by their fingerprints, `first` < `second`."""

    project: str
    first: str
    second: str
    verdict: Verdict
    source: Source
    by: str
    at: datetime

    @property
    def answer(self) -> Answer:
        """What of it dedup computes with."""
        return Answer(
            first=self.first, second=self.second, verdict=self.verdict, source=self.source
        )


class PairLabels(Protocol):
    """Answers, one for each pair: the latest. Everything raises `Unavailable`."""

    async def every(self, project: str) -> Sequence[PairLabel]:
        """All answers of a project, the earliest first."""

    async def keep(self, label: PairLabel) -> PairLabel | None:
        """Keep an answer in the place of an earlier one, which is returned."""

    async def take_back(self, label: PairLabel, before: PairLabel | None) -> bool:
        """Have things be as before this answer. False: somebody answered again since; nothing is done."""


class GreyDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A doubtful decision: a failure that was counted to the nearest pattern, and only just.

    text, pattern_text: of the failure, and of the representative of its pattern as it is called now;
    `pattern_fingerprint` is the representative's, null where that is not kept. Where the failure's own
    text stands for the pattern, the first failure's is compared with. `pattern_name`: that a reviewer
    gave it.
    """

    project: str
    event_id: str
    trace_id: str
    pattern_id: str
    fingerprint: str
    pattern_fingerprint: str | None
    distance: float
    failed_at: datetime
    text: str
    pattern_text: str
    pattern_name: str | None = None
    decided: Verdict | None = None


class GreyDecisions(Protocol):
    """Doubtful decisions. Everything raises `Unavailable`."""

    async def undecided(
        self,
        project: str | None,
        *,
        limit: int,
        since: datetime | None = None,
        untouched: bool = False,
    ) -> Sequence[GreyDecision]:
        """Those nobody has decided yet, the nearest first; with `since`, only of failures since then.

        untouched: without those about a text that was split off and put back by `patterns undo`.
        """

    async def find(self, event_id: str, project: str | None = None) -> Sequence[GreyDecision]:
        """Doubtful decisions whose event id starts with this, decided or not."""

    async def close(
        self,
        decision: GreyDecision,
        label: PairLabel | None,
        verdict: Verdict,
        split: str | None = None,
    ) -> bool:
        """Note the verdict on every doubtful decision about this text, and the answer it amounts to.

        split: the id of the change that carries it out; undoing that takes the answer back.
        False when it was decided before, or the split was undone already: then nothing is changed.
        """


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration changes: the policy after `version`, and the geometry where there is a new one."""

    project: str
    version: int
    policy: Policy
    space: str
    geometry: Geometry | None
    detail: dict[str, object]
    by: str
    reason: str
    at: datetime


class Calibrations(Protocol):
    """Puts calibrations in force."""

    async def apply(self, change: Calibrated) -> bool:
        """Change policy and geometry in one step, under the project's dedup lock.

        False when either has changed since it was read: then nothing is changed. Raises `Unavailable`.
        """


async def settle_grey(
    decision: GreyDecision,
    verdict: Verdict,
    *,
    decisions: GreyDecisions,
    changes: PatternChanges,
    by: str,
    reason: str,
    at: datetime,
) -> PatternChange | None:
    """Carry out a verdict on a doubtful decision: "different" gives the text a pattern of its own.

    The split comes first: when the process dies between the two steps the decision is still open, and
    its text is its pattern's representative by then, so that the same verdict only notes it. Undoing the
    split takes the answer back and opens the decision again, for people alone.

    Raises:
        AlreadyDecided: somebody was faster.
        NotPossible: it cannot be split off.
        Unavailable: the store is not there.
    """
    if decision.decided is not None:
        raise AlreadyDecided(decision.event_id)
    change, label = None, None
    if decision.pattern_fingerprint not in {None, decision.fingerprint}:
        first, second = in_order(decision.fingerprint, str(decision.pattern_fingerprint))
        label = PairLabel(
            project=decision.project,
            first=first,
            second=second,
            verdict=verdict,
            source="grey",
            by=by,
            at=at,
        )
        if verdict == "different":
            change = await changes.split(
                decision.project,
                decision.pattern_id,
                [decision.event_id],
                by=by,
                reason=reason,
                at=at,
            )
    split = None if change is None else change.change_id
    if not await decisions.close(decision, label, verdict, split):
        raise AlreadyDecided(decision.event_id)
    return change


class AlreadyDecided(NotPossible):
    """Somebody decided this doubtful decision before."""

    def __init__(self, event_id: str) -> None:
        """Name the event."""
        super().__init__(f"The decision about {event_id} has been reviewed already.")
