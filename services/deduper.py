"""dedup: which pattern does this failure belong to?

Three steps, cheapest first: the decision made before, the fingerprint, the embedding. Embedding
happens before the project's lock, the decision under it, after the index has caught up with the
store, so that two workers on the same failures never make twins.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, cast

import msgspec
import numpy as np

from capture.events import Failure, Fault
from dedup.assign import Candidate, Decided, KnownFingerprint, assign, candidate
from dedup.events import Assigned, Assignment
from dedup.index import Index
from services.policy import Policies
from services.stream.outcome import DeadLetter, Emit, Event, Outcome


class StoredPattern(msgspec.Struct, frozen=True):
    """A pattern as the index needs it. `vector`: float32, little-endian; `seq` rises from 1."""

    seq: int
    pattern_id: str
    vector: bytes


class PatternReader(Protocol):
    """What was decided before."""

    async def decisions(self, event_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """The decisions on these events, where there are any. Raises `Unavailable`."""

    async def fingerprints(self, fingerprints: Sequence[str]) -> Mapping[str, KnownFingerprint]:
        """The patterns of these fingerprints, where they are known. Raises `Unavailable`."""


class PatternWriter(PatternReader, Protocol):
    """The same, inside the project's lock, and the means to decide."""

    async def patterns_after(self, space: str, seq: int) -> Sequence[StoredPattern]:
        """Patterns of an embedding space with a higher `seq`, in order. Raises `Unavailable`."""

    async def keep(self, decided: Sequence[Decided]) -> None:
        """Keep decisions: the occurrence, its fingerprint, and the pattern where it is a new one.

        New patterns get the next `seq` of their project and embedding space, in the given order.
        A pattern's count rises by one for each decision. All is kept when the lock is left without
        an error, nothing otherwise. Raises `Unavailable`.
        """


class PatternStore(Protocol):
    """Patterns and occurrences, by project."""

    def reading(self, project: str) -> AbstractAsyncContextManager[PatternReader]:
        """A look without a lock. Raises `Unavailable`."""

    async def change_faults(self, project: str, faults: Mapping[str, Fault]) -> None:
        """Note whose failures these are, by event id, where that has changed. Raises `Unavailable`."""

    def locked(self, project: str) -> AbstractAsyncContextManager[PatternWriter]:
        """The project's dedup lock: one holder at a time over all processes; commits on leaving.

        Raises `Unavailable`.
        """


class Embedder(Protocol):
    """Texts to unit vectors, in a worker of its own."""

    @property
    def space(self) -> str:
        """Model, weights and text version: vectors of two spaces are never compared."""

    async def ready(self) -> None:
        """Return when the model is loaded. Raises `Unavailable`."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        """For each text its vector (float32, unit length), or in words why it has none.

        Raises `Unavailable`.
        """


class Deduper:
    """Handler of the dedup loop."""

    accepts = (Failure,)

    def __init__(self, store: PatternStore, embedder: Embedder, policies: Policies) -> None:
        """The index starts empty and fills itself from the store."""
        self._store = store
        self._embedder = embedder
        self._policies = policies
        self._indexes: dict[tuple[str, str], Index] = {}

    async def ready(self) -> None:
        """Wait for the model: events wait in the topic meanwhile."""
        await self._embedder.ready()

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Assign a batch, all failures of one project in one locked step."""
        projects: defaultdict[str, list[Failure]] = defaultdict(list)
        for failure in cast("Sequence[Failure]", events):
            projects[failure.project].append(failure)
        outcomes: dict[str, Outcome] = {}
        for project, failures in projects.items():
            outcomes.update(await self._assign_project(project, failures))
        return [outcomes[event.event_id] for event in events]

    async def _assign_project(
        self, project: str, failures: Sequence[Failure]
    ) -> Mapping[str, Outcome]:
        distance = (await self._policies.of(project)).dedup.distance
        candidates = [candidate(failure) for failure in failures]
        decided, vectors, broken = await self._prepare(project, candidates)
        again = {one.event_id: one.fault for one in candidates if one.event_id in decided}
        if again:  # what was learnt of a trace since may have changed whose failure it is
            await self._store.change_faults(project, again)
        if any(one.event_id not in decided for one in candidates):
            decided = await self._decide(project, candidates, vectors, distance)
        outcomes: dict[str, Outcome] = {}
        for failure, one in zip(failures, candidates, strict=True):
            assignment = decided.get(failure.event_id)
            if assignment is not None:
                outcomes[failure.event_id] = Emit(Assigned(failure=failure, assignment=assignment))
            else:
                outcomes[failure.event_id] = DeadLetter("handler_error", broken[one.fingerprint])
        return outcomes

    async def _prepare(
        self, project: str, candidates: Sequence[Candidate]
    ) -> tuple[Mapping[str, Assignment], Mapping[str, np.ndarray], Mapping[str, str]]:
        """What can be had without the lock: earlier decisions, and vectors by fingerprint."""
        async with self._store.reading(project) as store:
            decided = await store.decisions([one.event_id for one in candidates])
            known = await store.fingerprints(sorted({one.fingerprint for one in candidates}))
        texts = {
            one.fingerprint: one.text
            for one in reversed(candidates)  # the first of equal fingerprints is the one embedded
            if one.event_id not in decided and one.fingerprint not in known
        }
        embedded = await self._embedder.embed(list(texts.values())) if texts else []
        vectors: dict[str, np.ndarray] = {}
        broken: dict[str, str] = {}
        for fingerprint, result in zip(texts, embedded, strict=True):
            if isinstance(result, str):
                broken[fingerprint] = result
            else:
                vectors[fingerprint] = result
        return decided, vectors, broken

    async def _decide(
        self,
        project: str,
        candidates: Sequence[Candidate],
        vectors: Mapping[str, np.ndarray],
        distance: float,
    ) -> Mapping[str, Assignment]:
        """Decide under the lock whatever is still open there."""
        space = self._embedder.space
        index = self._indexes.pop((project, space), None) or Index()
        async with self._store.locked(project) as store:
            decided = dict(await store.decisions([one.event_id for one in candidates]))
            open_ = [one for one in candidates if one.event_id not in decided]
            for stored in await store.patterns_after(space, index.seq):
                index.add(stored.seq, stored.pattern_id, np.frombuffer(stored.vector, "<f4"))
            known = await store.fingerprints(sorted({one.fingerprint for one in open_}))
            new = assign(
                open_, known=known, vectors=vectors, index=index, distance=distance, space=space
            )
            await store.keep(new)
        self._indexes[project, space] = (
            index  # only now: after an error it may hold what was rolled back
        )
        return decided | {one.candidate.event_id: one.assignment for one in new}
