"""A project whose failures are decided, graded and promoted one by one, and how it looks to readers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np

from capture.events import Fault
from dedup.assign import Candidate, Decided
from dedup.centroid import Centroid
from dedup.events import Assignment
from grade.events import Grade
from promote.case import Case, Provenance
from services.grader import Graduate
from services.pattern_store import Embedded, Kept
from services.promoter import Promotion
from services.store.open import Store

SPACE = "hashing-4/1/text-1"
At = Callable[[float], datetime]


def candidate(
    at: At,
    event: str,
    *,
    fingerprint: str | None = None,
    seconds: float = 0,
    fault: Fault = "unknown",
    guard: str = "unknown|",
    project: str = "shop",
) -> Candidate:
    """A failure whose text is its fingerprint."""
    text = fingerprint or event
    return Candidate(
        project, event, f"trace of {event}", at(seconds), f"text {text}", text, fault, guard
    )


def first(one: Candidate, vector: Sequence[float] = (1, 0), space: str = SPACE) -> Decided:
    """A decision that makes the candidate the representative of pattern `p-<event>`."""
    assignment = Assignment(
        pattern_id=f"p-{one.event_id}",
        decided_by="first",
        distance=0.0,
        fingerprint=one.fingerprint,
        embedding_space=space,
    )
    return Decided(one, assignment, np.array(vector, dtype=np.float32))


def joins(
    one: Candidate,
    pattern_id: str,
    distance: float = 0.125,
    *,
    vector: Sequence[float] | None = None,
    grey: bool = False,
) -> Decided:
    """A decision that the candidate is of a pattern: by embedding where there is a vector."""
    assignment = Assignment(
        pattern_id=pattern_id,
        decided_by="fingerprint" if vector is None else "embedding",
        distance=distance,
        nearest_distance=distance,
        fingerprint=one.fingerprint,
        embedding_space=SPACE,
        grey=grey,
    )
    raw = None if vector is None else np.array(vector, dtype=np.float32)
    return Decided(one, assignment, raw)


async def keep(
    store: Store,
    *decided: Decided,
    project: str = "shop",
    centroids: Mapping[str, tuple[str, Centroid]] | None = None,
    space: str = SPACE,
) -> None:
    """Keep decisions, with their texts, under the project's lock."""
    embedded = [
        Embedded(one.candidate.fingerprint, one.candidate.text, one.vector)
        for one in decided
        if one.vector is not None
    ]
    async with store.patterns.locked(project) as writer:
        await writer.keep(
            Kept(space=space, decided=decided, centroids=centroids or {}, embedded=embedded)
        )


class Recording:
    """Decides as the deduper does, with given vectors, and grades and promotes what it decided."""

    def __init__(self, store: Store, at: At, project: str = "shop") -> None:
        """Write into `store`."""
        self.store, self.at, self.project = store, at, project
        self.seconds = 0

    async def fail(
        self,
        event: str,
        text: str,
        *,
        into: str | None = None,
        vector: Sequence[float] = (1, 0, 0, 0),
        guard: str = "model|",
        promoted: bool = True,
    ) -> str:
        """One failure with this text, to a pattern or a new one. Returns the pattern's id."""
        self.seconds += 1
        one = candidate(
            self.at,
            event,
            fingerprint=text,
            seconds=self.seconds,
            fault="model",
            guard=guard,
            project=self.project,
        )
        raw = np.array(vector, dtype=np.float32)
        async with self.store.patterns.locked(self.project) as writer:
            known = (await writer.fingerprints([text])).get(text)
            if known is not None:
                decided = joins(one, known.pattern_id)
                kept = Kept(space=SPACE, decided=[decided])
            else:
                decided = first(one, vector) if into is None else joins(one, into, vector=vector)
                pattern_id = decided.assignment.pattern_id
                there = (await writer.centroids(SPACE, [pattern_id])).get(pattern_id)
                centroid = Centroid(raw, 1) if there is None else there[1].with_one(raw)
                kept = Kept(
                    space=SPACE,
                    decided=[decided],
                    centroids={pattern_id: (guard, centroid)},
                    embedded=[Embedded(text, one.text, raw)],
                )
            await writer.keep(kept)
        if promoted:
            await self.promote(decided)
        return decided.assignment.pattern_id

    async def promote(self, decided: Decided) -> None:
        """Grade and promote a failure as its message tells it, which may be an old story by now."""
        one, pattern_id = decided.candidate, decided.assignment.pattern_id
        grade = Grade(severity="high", weight=0.5, components={"severity": 0.75})
        await self.store.grades.settle([Graduate(self.project, one.event_id, pattern_id, grade)])
        case = make_case(one, pattern_id, self.project)
        represents = decided.assignment.decided_by == "first"
        await self.store.cases.promote(
            self.project,
            [Promotion(one.event_id, one.trace_id, pattern_id, one.failed_at, case, represents)],
        )

    async def patterns(self) -> dict[str, int]:
        """How often each pattern was seen."""
        rows = await self.store.reader.patterns(project=self.project, limit=1000)
        return {row.pattern_id: row.occurrences for row in rows}

    async def members(self) -> dict[str, str]:
        """The pattern of each event."""
        rows = await self.store.reader.members(project=self.project, pattern_id=None, limit=None)
        return {row.event_id: row.pattern_id for row in rows}

    async def cases(self) -> dict[str, tuple[str, int]]:
        """By pattern the event its case was made from, and how often it was seen."""
        rows = await self.store.reader.cases(project=self.project, case_set=None, limit=1000)
        return {
            row.case.pattern_id: (row.case.provenance.event_id, row.occurrences) for row in rows
        }

    async def centroids(self) -> dict[str, tuple[list[float], int]]:
        """The sum and count of every pattern that is not gone."""
        async with self.store.patterns.reading(self.project) as reader:
            rows = await reader.centroids_after(SPACE, 0, limit=1000)
        return {
            row.pattern_id: (np.frombuffer(row.total, "<f4").tolist(), row.count)
            for row in rows
            if row.count
        }


def make_case(one: Candidate, pattern_id: str, project: str) -> Case:
    """The case that this failure would make."""
    return Case(
        case_id=f"case-{pattern_id}",
        project=project,
        pattern_id=pattern_id,
        set="monitoring",
        input=one.text,
        label="latency",
        severity="high",
        weight=0.5,
        components={"severity": 0.75},
        provenance=Provenance(
            trace_id=one.trace_id,
            event_id=one.event_id,
            pattern_id=pattern_id,
            failed_at=one.failed_at,
        ),
        created_at=one.failed_at,
    )
