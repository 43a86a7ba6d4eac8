"""grade: how much does this failure weigh, and why?"""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import msgspec

from dedup.events import Assigned
from grade.events import Grade, Graded
from grade.weight import grade
from services.stream.outcome import Emit, Event, Outcome


class Graduate(msgspec.Struct, frozen=True):
    """One event's grade, to be kept."""

    project: str
    event_id: str
    pattern_id: str
    grade: Grade


class GradeStore(Protocol):
    """Grades, one for each event.

    A trace of which more was learnt fails again under the same event id: a graver failure raises the
    grade, and nothing lowers it.
    """

    async def settle(self, grades: Sequence[Graduate]) -> Mapping[str, Grade]:
        """Keep each grade unless the event has one as severe; return by event id the one it has now.

        Raises `Unavailable`.
        """


class Grader:
    """Handler of the grade loop."""

    accepts = (Assigned,)

    def __init__(self, store: GradeStore) -> None:
        """Keep grades in `store`."""
        self._store = store

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Grade a batch; an event that was graded before keeps its grade, unless it became graver."""
        assigned = cast("Sequence[Assigned]", events)
        winners = await self._store.settle(
            [Graduate(a.project, a.event_id, a.assignment.pattern_id, grade(a)) for a in assigned]
        )
        return [Emit(Graded(assigned=a, grade=winners[a.event_id])) for a in assigned]
