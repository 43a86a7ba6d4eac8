"""dedup: which pattern does this failure belong to?

A funnel, the cheapest step first: the decision made before, the fingerprint, the embedding that the
project's space has already, the model. All of this happens before the project's lock
(`preparing.py`); the decision under it, after the index has caught up with the store
(`deciding.py`), so that two workers on the same failures never make twins.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import cast

import structlog

from capture.events import Failure, Fault
from dedup.events import Assigned, Assignment
from services.deciding import Deciding
from services.dedup_metrics import DedupMetrics
from services.encoders import Encoders
from services.errors import Unavailable
from services.indexes import Indexes
from services.pattern_store import PatternStore
from services.policy import Policies
from services.preparing import Prepared, Preparing
from services.spaces import Spaces
from services.stream.outcome import DeadLetter, Emit, Event, Hold, Outcome, Retry

log = structlog.get_logger()

_ROUNDS = 5  # a switch or an undo comes between once, not five times
_LATER_SECONDS = 5.0


class Deduper:
    """Handler of the dedup loop."""

    accepts = (Failure,)

    def __init__(
        self,
        store: PatternStore,
        encoders: Encoders,
        indexes: Indexes,
        policies: Policies,
        *,
        clock: Callable[[], datetime],
        metrics: DedupMetrics | None = None,
    ) -> None:
        """The indexes start empty, or as they were saved, and fill themselves from the store."""
        self._store = store
        self._encoders = encoders
        self._policies = policies
        self._metrics = metrics or DedupMetrics()
        spaces = Spaces(store, encoders, clock=clock)
        self._preparing = Preparing(store, encoders, policies, spaces, self._metrics)
        self._deciding = Deciding(store, indexes, self._metrics)

    async def ready(self) -> None:
        """Wait for the configured model: events wait in the topic meanwhile."""
        await self._encoders.ready()

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Assign a batch: texts of all projects are embedded together, each project decided at once.

        Failures that need an encoder which is one project's alone, and not there, are held. Raises
        `Unavailable`, also where the configured encoder is and nothing else can be decided.
        """
        projects: defaultdict[str, list[Failure]] = defaultdict(list)
        for failure in cast("Sequence[Failure]", events):
            projects[failure.project].append(failure)
        parts = [await self._preparing.prepare(name, them) for name, them in projects.items()]
        await self._preparing.embed(parts)
        outcomes: dict[tuple[str, str], Outcome] = {}
        for part in parts:
            for event_id, outcome in (await self._outcomes(part, projects[part.project])).items():
                outcomes[part.project, event_id] = outcome
        later = [one for one in outcomes.values() if isinstance(one, Retry)]
        if len(later) == len(outcomes) and later:
            raise Unavailable(later[0].detail)
        return [outcomes[event.project, event.event_id] for event in events]

    async def _outcomes(self, part: Prepared, failures: Sequence[Failure]) -> Mapping[str, Outcome]:
        part, assignments = await self._assignments(part, failures)
        outcomes: dict[str, Outcome] = {}
        for failure, one in zip(failures, part.candidates, strict=True):
            assignment = assignments.get(failure.event_id)
            if assignment is not None:
                outcomes[failure.event_id] = Emit(Assigned(failure=failure, assignment=assignment))
            elif one.fingerprint in part.broken:
                why = part.broken[one.fingerprint]
                outcomes[failure.event_id] = DeadLetter("handler_error", why)
            elif part.held is not None:
                outcomes[failure.event_id] = Hold(part.project, part.held)
            else:
                why = part.later or "it has no vector yet"
                outcomes[failure.event_id] = Retry(why, _LATER_SECONDS)
        return outcomes

    async def _assignments(
        self, part: Prepared, failures: Sequence[Failure]
    ) -> tuple[Prepared, Mapping[str, Assignment]]:
        """The part as it was decided at last, and what was decided."""
        for _ in range(_ROUNDS):
            await self._note_earlier(part)
            if not part.undecided:
                return part, part.decided
            assignments = await self._deciding.decide(part)
            if assignments is not None:
                await self._note_later(part, assignments)
                return part, assignments
            log.info("prepared_again", project=part.project, space=part.serving.space)
            self._policies.forget(part.project)
            part = await self._preparing.prepare(part.project, failures)
            await self._preparing.embed([part])
        message = f"the patterns of project {part.project} are being changed again and again"
        raise Unavailable(message)

    async def _note_earlier(self, part: Prepared) -> None:
        """What was learnt of a trace since may have changed whose failure it is."""
        earlier = {
            one.event_id: one.fault for one in part.candidates if one.event_id in part.decided
        }
        if earlier:
            await self._store.change_faults(part.project, earlier)
            self._metrics.count_decided("earlier", len(earlier))

    async def _note_later(self, part: Prepared, assignments: Mapping[str, Assignment]) -> None:
        """Of an event that comes twice in a batch the first is decided about, the last knows more."""
        first: dict[str, Fault] = {}
        later: dict[str, Fault] = {}
        for one in part.candidates:
            if one.event_id in assignments:
                changed = one.fault != first.setdefault(one.event_id, one.fault)
                if changed or one.event_id in later:
                    later[one.event_id] = one.fault
        await self._store.change_faults(part.project, later)
