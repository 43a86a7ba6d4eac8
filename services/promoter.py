"""promote: a case for every pattern, and a count of everything that was the same failure."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, cast

import msgspec

from capture.ids import derive_id
from grade.events import Graded
from promote.case import Case
from promote.events import CasePromoted
from promote.rules import is_promotable, is_representative, make_case
from services.policy import Policies
from services.stream.outcome import Emit, Event, Outcome, Skip


class Promotion(msgspec.Struct, frozen=True):
    """One graded failure on its way into the eval store.

    `case` is the one it would make, None where it may not make any. `represents` says that it is the
    failure its pattern keeps.
    """

    event_id: str
    trace_id: str
    pattern_id: str
    failed_at: datetime
    case: Case | None
    represents: bool = True


class CaseStore(Protocol):
    """The eval store, as promote writes it."""

    async def promote(self, project: str, promotions: Sequence[Promotion]) -> Mapping[str, Case]:
        """Count every event once, and make the case of a pattern that has none yet.

        It is made of the pattern's representative; where that was an outage, of the first failure
        that is none. Occurrences that came before are counted when the case is made. An event that
        comes again graver than before raises the case that was made of it.

        Returns by event id the case as it is kept, for the events that a case was made from, now or
        earlier. One transaction, under the project's lock. Raises `Unavailable`.
        """


class Promoter:
    """Handler of the promote loop."""

    accepts = (Graded,)

    def __init__(
        self, store: CaseStore, policies: Policies, *, clock: Callable[[], datetime]
    ) -> None:
        """`clock` gives the server's time in UTC."""
        self._store = store
        self._policies = policies
        self._clock = clock

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Promote a batch, one transaction a project."""
        projects: defaultdict[str, list[Graded]] = defaultdict(list)
        for one in cast("Sequence[Graded]", events):
            projects[one.project].append(one)
        made: dict[str, Case] = {}
        for project, graded in projects.items():
            policy = (await self._policies.of(project)).promotion
            now = self._clock()
            promotions = [
                Promotion(
                    one.event_id,
                    one.trace_id,
                    one.assignment.pattern_id,
                    one.failure.failed_at,
                    make_case(one, policy, now=now) if is_promotable(one) else None,
                    is_representative(one),
                )
                for one in graded
            ]
            made.update(await self._store.promote(project, promotions))
        return [_outcome(event, made) for event in events]


def _outcome(event: Event, made: Mapping[str, Case]) -> Outcome:
    case = made.get(event.event_id)
    if case is None:
        return Skip("counted")
    return Emit(CasePromoted(event_id=derive_id("promoted", case.project, case.case_id), case=case))
