"""Setting aside what cannot be decided for one project now, so that all the others go on.

A partition is read in order and its offset committed only behind work that is done. So a record that
has to wait for long is written to the store first: then it is as safe as in the topic, and the topic
goes on. It is handed over again from there, in its order. Until the last of its project has been, what
comes of that project queues up behind it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from services.stream.outcome import Event, Hold, Outcome
from services.stream.port import Record

AGAIN_SECONDS = 30.0
"""Between two looks whether a project can go on. A look may start a process that loads a model, a
second of a processor; whoever puts something right waits half a minute at most."""

Show = Callable[[Mapping[str, "HeldProject"]], None]


class HeldProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project that waits: how many of its records, since when, why, and when it is looked at again.

    Times in milliseconds since the epoch.
    """

    records: int
    since_ms: int
    due_ms: int
    why: str


class HeldRecords(Protocol):
    """Where they wait, by consumer. Everything raises `Unavailable`."""

    async def projects(self, consumer: str) -> Mapping[str, HeldProject]:
        """Who waits."""

    async def hold(
        self, consumer: str, held: Sequence[tuple[Record, Hold]], *, now_ms: int, due_ms: int
    ) -> None:
        """Keep records, in this order; one that is kept already is not kept twice.

        A project that waits already is looked at again when it was to be before.
        """

    async def claim(
        self, consumer: str, *, now_ms: int, until_ms: int, limit: int
    ) -> Sequence[str]:
        """At most so many projects that are due; until `until_ms` nobody else is given them."""

    async def oldest(
        self, consumer: str, projects: Sequence[str], *, limit: int
    ) -> Sequence[Record]:
        """The oldest records of these projects, in order within each, so many of each in total."""

    async def release(
        self, consumer: str, records: Sequence[Record], *, due_ms: Mapping[str, int]
    ) -> None:
        """Forget records that were decided; `due_ms` says when each of their projects is due next.

        A project of which nothing waits any more is forgotten too.
        """


class Holding:
    """What one loop has set aside."""

    def __init__(
        self,
        records: HeldRecords,
        consumer: str,
        *,
        limit: int,
        clock_ms: Callable[[], int],
        show: Show,
    ) -> None:
        """At most about `limit` records wait; `show` is told of every change."""
        self._records = records
        self._consumer = consumer
        self._limit = limit
        self._clock_ms = clock_ms
        self._show = show
        self._projects: Mapping[str, HeldProject] = {}
        self._claimed: Sequence[str] = ()
        self._log = structlog.get_logger().bind(consumer=consumer)

    async def look(self) -> None:
        """See who waits: another worker may have set something aside. Raises `Unavailable`."""
        found = await self._records.projects(self._consumer)
        for project in self._projects.keys() - found.keys():
            self._log.info("project_goes_on", project=project)
        for project in found.keys() - self._projects.keys():
            one = found[project]
            self._log.warning("project_held", project=project, records=one.records, why=one.why)
        if found or self._projects:
            self._show(found)
        self._projects = found

    def waits(self, project: str) -> Hold | None:
        """What to do with an event of this project, where it queues up behind others."""
        one = self._projects.get(project)
        return None if one is None else Hold(project, one.why)

    def has_room_for(self, more: int) -> bool:
        """Whether so many more may be set aside."""
        return sum(one.records for one in self._projects.values()) + more <= self._limit

    async def keep(self, held: Sequence[tuple[Record, Hold]]) -> None:
        """Set records aside, durably. Raises `Unavailable`."""
        now = self._clock_ms()
        await self._records.hold(
            self._consumer, held, now_ms=now, due_ms=now + int(AGAIN_SECONDS * 1000)
        )
        await self.look()

    async def due(self, limit: int) -> Sequence[Record]:
        """Records to be tried again, fairly of all projects that are due. Raises `Unavailable`."""
        now = self._clock_ms()
        if all(one.due_ms > now for one in self._projects.values()):
            return ()
        later = now + int(AGAIN_SECONDS * 1000)
        self._claimed = await self._records.claim(
            self._consumer, now_ms=now, until_ms=later, limit=limit
        )
        if not self._claimed:
            return ()
        return await self._records.oldest(self._consumer, self._claimed, limit=limit)

    async def release(self, done: Sequence[Record], still: Iterable[str]) -> None:
        """Forget what was decided of what was due; projects in `still` have to wait on.

        Raises `Unavailable`.
        """
        now = self._clock_ms()
        later, stuck = now + int(AGAIN_SECONDS * 1000), set(still)
        due = {project: later if project in stuck else now for project in self._claimed}
        await self._records.release(self._consumer, done, due_ms=due)
        await self.look()


def queued(
    pairs: Sequence[tuple[tuple[Record, Event], Outcome]],
) -> list[tuple[tuple[Record, Event], Outcome]]:
    """The same, but from the first event of a project that is held, all of it that follows is.

    What was decided about those is decided again when their turn comes: the same.
    """
    held: dict[str, Hold] = {}
    queue: list[tuple[tuple[Record, Event], Outcome]] = []
    for (record, event), outcome in pairs:
        if isinstance(outcome, Hold):
            held.setdefault(outcome.project, outcome)
        queue.append(((record, event), held.get(event.project, outcome)))
    return queue
