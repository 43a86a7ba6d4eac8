"""Small in-memory doubles of the handlers' ports, and builders of what flows between them.

The doubles keep the promises that the ports' docstrings make and nothing beyond; whether the real
stores keep them is what `tests/contract/store/` asks.
"""

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from capture.events import SEVERITIES, FailingSignal, Failure, Fault, Severity
from capture.trace import Trace
from dedup.encoders.hashing import HashingEncoder
from dedup.events import Assigned, Assignment
from grade.events import Grade, Graded
from grade.weight import grade
from promote.case import Case
from promote.rules import raised
from services.encoders import Encoders
from services.errors import Halted, Unavailable
from services.grader import Graduate
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.pattern_store import PatternReader, PatternWriter
from services.policy import Policies, Policy, PolicyChange
from services.promoter import Promotion
from services.store.open import Store
from services.store.patterns import Patterns
from services.store.tables import metadata


class WatchedPatterns:
    """The real store's patterns; knows who took the lock, and can fail before it commits."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self.locks: list[str] = []
        self.faults: dict[tuple[str, str], Fault] = {}
        self.fail_after_keep: Exception | None = None
        self.before_lock: Callable[[], Awaitable[None]] | None = None

    async def change_faults(self, project: str, faults: Mapping[str, Fault]) -> None:
        self.faults.update({(project, event_id): fault for event_id, fault in faults.items()})
        await self._patterns.change_faults(project, faults)

    def reading(self, project: str) -> AbstractAsyncContextManager[PatternReader]:
        return self._patterns.reading(project)

    @contextlib.asynccontextmanager
    async def locked(self, project: str) -> AsyncIterator[PatternWriter]:
        if self.before_lock is not None:
            hook, self.before_lock = self.before_lock, None
            await hook()
        self.locks.append(project)
        async with self._patterns.locked(project) as store:
            yield store
            if self.fail_after_keep is not None:
                error, self.fail_after_keep = self.fail_after_keep, None
                raise error


class HashingEmbedder:
    """The hashing encoder in this process; texts that hold `unembeddable` are answered in words.

    `missing` is what it says when it is asked to load, if its model is not there.
    """

    def __init__(self, encoder: str = HashingEncoder.identity) -> None:
        self.encoder = encoder
        self.asked: list[str] = []
        self.calls = 0
        self.waits = 0
        self.closed = 0
        self.missing: str | None = None
        self.away: str | None = None

    def start(self) -> None:
        pass

    async def ready(self) -> None:
        self.waits += 1
        if self.missing is not None:
            raise Halted(self.missing)

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        if self.away is not None:
            raise Unavailable(self.away)
        self.calls += 1
        self.asked.extend(texts)
        vectors = HashingEncoder().encode(texts)
        return [
            "no vector for this one" if "unembeddable" in text else vector
            for text, vector in zip(texts, vectors, strict=True)
        ]

    async def close(self) -> None:
        self.closed += 1


class GradeStoreDouble:
    """A `GradeStore`: the gravest grade of an event stays."""

    def __init__(self) -> None:
        self.grades: dict[tuple[str, str], Grade] = {}

    async def settle(self, grades: Sequence[Graduate]) -> Mapping[str, Grade]:
        for one in grades:
            kept = self.grades.setdefault((one.project, one.event_id), one.grade)
            if SEVERITIES.index(one.grade.severity) > SEVERITIES.index(kept.severity):
                self.grades[one.project, one.event_id] = one.grade
        return {one.event_id: self.grades[one.project, one.event_id] for one in grades}


class CaseStoreDouble:
    """A `CaseStore`: counts each event once, makes each pattern's case once.

    `outages` are the patterns whose representative makes no case.
    """

    def __init__(self) -> None:
        self.counted: dict[str, set[str]] = {}
        self.cases: dict[tuple[str, str], Case] = {}
        self.made_from: dict[str, Case] = {}
        self.outages: set[str] = set()
        self.calls: list[str] = []

    async def promote(self, project: str, promotions: Sequence[Promotion]) -> Mapping[str, Case]:
        self.calls.append(project)
        for one in promotions:
            self.counted.setdefault(one.pattern_id, set()).add(one.event_id)
            if one.case is None or not (one.represents or one.pattern_id in self.outages):
                continue
            place = (project, one.pattern_id)
            if self.cases.setdefault(place, one.case) is one.case:
                self.made_from[one.event_id] = one.case
            elif one.event_id in self.made_from:
                case = raised(self.cases[place], one.case) or self.cases[place]
                self.cases[place] = self.made_from[one.event_id] = case
            elif one.represents:
                self.made_from[one.event_id] = self.cases[place]
        ids = [one.event_id for one in promotions]
        return {one: self.made_from[one] for one in ids if one in self.made_from}


class PolicyStoreDouble:
    """A `PolicyStore` that counts how often it is asked."""

    def __init__(self) -> None:
        self.policies: dict[str, Policy] = {}
        self.asked: list[str] = []

    async def current(self, project: str) -> tuple[int, Policy]:
        self.asked.append(project)
        policy = self.policies.get(project)
        return (0, Policy()) if policy is None else (1, policy)

    async def change(
        self, project: str, policy: Policy, *, by: str, reason: str, at: datetime, expected: int
    ) -> PolicyChange | None:
        raise NotImplementedError

    async def history(self, project: str) -> list[PolicyChange]:
        raise NotImplementedError


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table, to be copied: making it takes two seconds."""
    file = tmp_path_factory.mktemp("store") / "store.db"
    engine = create_engine(f"sqlite:///{file}")
    metadata.create_all(engine)
    engine.dispose()
    return file


@pytest.fixture
async def store(tmp_path: Path, empty_store: Path) -> AsyncIterator[Store]:
    """An empty SQLite store."""
    file = tmp_path / "store.db"
    shutil.copy(empty_store, file)
    opened = Store(f"sqlite:///{file}")
    yield opened
    await opened.close()


@pytest.fixture
def patterns(store: Store) -> WatchedPatterns:
    """The store's patterns, watched."""
    return WatchedPatterns(store.patterns)


@pytest.fixture
def embedder() -> HashingEmbedder:
    """The configured embedder, loaded."""
    return HashingEmbedder()


@pytest.fixture
def other_embedders() -> dict[str, HashingEmbedder]:
    """Embedders beside the configured one, by the identity of their encoder."""
    return {}


@pytest.fixture
def encoders(embedder: HashingEmbedder, other_embedders: dict[str, HashingEmbedder]) -> Encoders:
    """The configured encoder and the others."""
    return Encoders(embedder, lambda identity: other_embedders[identity])


@pytest.fixture
def indexes(tmp_path: Path) -> Indexes:
    """Indexes with files in a folder of the test."""
    return Indexes(IndexFiles(tmp_path / "indexes"))


@pytest.fixture
def grade_store() -> GradeStoreDouble:
    """A store without grades."""
    return GradeStoreDouble()


@pytest.fixture
def case_store() -> CaseStoreDouble:
    """A store without cases."""
    return CaseStoreDouble()


@pytest.fixture
def policy_store() -> PolicyStoreDouble:
    """A store in which every project has the defaults."""
    return PolicyStoreDouble()


@pytest.fixture
def policies(policy_store: PolicyStoreDouble) -> Policies:
    """The policies of `policy_store`."""
    return Policies(policy_store)


@pytest.fixture(scope="session")
def make_failure() -> Callable[..., Failure]:
    """A failure; its event id comes from its trace id."""

    def make(
        trace_id: str = "t1",
        *,
        project: str = "shop",
        severity: Severity = "high",
        fault: Fault = "model",
        **trace: Any,
    ) -> Failure:
        return Failure(
            event_id=f"event-{trace_id}",
            trace=Trace(trace_id=trace_id, project=project, **trace),
            signals=(FailingSignal(name="x", scorer="x/1", severity=severity, reason="It broke."),),
            severity=severity,
            failed_at=datetime(2026, 1, 2, tzinfo=UTC),
            fault=fault,
        )

    return make


@pytest.fixture(scope="session")
def make_assigned(make_failure: Callable[..., Failure]) -> Callable[..., Assigned]:
    """An assigned failure, by default the first of its pattern."""

    def make(trace_id: str = "t1", *, pattern_id: str = "p1", **about: Any) -> Assigned:
        decided_by = about.pop("decided_by", "first")
        distance = about.pop("nearest_distance", None)
        assignment = Assignment(
            pattern_id=pattern_id,
            decided_by=decided_by,
            distance=0.0 if decided_by == "first" else distance or 0.0,
            nearest_distance=distance,
            fingerprint="f1",
            embedding_space="hashing/1",
        )
        return Assigned(failure=make_failure(trace_id, **about), assignment=assignment)

    return make


@pytest.fixture(scope="session")
def make_graded(make_assigned: Callable[..., Assigned]) -> Callable[..., Graded]:
    """A graded failure, by default the first of its pattern."""

    def make(trace_id: str = "t1", **about: Any) -> Graded:
        assigned = make_assigned(trace_id, **about)
        return Graded(assigned=assigned, grade=grade(assigned))

    return make
