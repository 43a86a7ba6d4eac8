"""Small in-memory doubles of the handlers' ports, and builders of what flows between them.

The doubles keep the promises that the ports' docstrings make and nothing beyond; whether the real
stores keep them is what `tests/contract/store/` asks.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from capture.events import SEVERITIES, FailingSignal, Failure, Fault, Severity
from capture.trace import Trace
from dedup.assign import Decided, KnownFingerprint
from dedup.embedding import HASHING_MODEL, load_model
from dedup.events import Assigned, Assignment
from grade.events import Grade, Graded
from grade.weight import grade
from promote.case import Case
from promote.rules import raised
from services.deduper import StoredPattern
from services.grader import Graduate
from services.policy import Policies, Policy, PolicyChange
from services.promoter import Promotion


class _ProjectPatterns(msgspec.Struct):
    decisions: dict[str, Assignment] = {}
    fingerprints: dict[str, KnownFingerprint] = {}
    patterns: dict[str, list[StoredPattern]] = {}
    counts: dict[str, int] = {}


class PatternStoreDouble:
    """A `PatternStore`: what `keep` is given counts once the lock is left without an error."""

    def __init__(self) -> None:
        self.projects: dict[str, _ProjectPatterns] = {}
        self.locks: list[str] = []
        self.kept: list[Decided] = []
        self.fail_after_keep: Exception | None = None
        self.faults: dict[tuple[str, str], Fault] = {}

    async def change_faults(self, project: str, faults: Mapping[str, Fault]) -> None:
        self.faults.update({(project, event_id): fault for event_id, fault in faults.items()})

    @contextlib.asynccontextmanager
    async def reading(self, project: str) -> AsyncIterator["PatternTransaction"]:
        yield PatternTransaction(self.projects.get(project, _ProjectPatterns()))

    @contextlib.asynccontextmanager
    async def locked(self, project: str) -> AsyncIterator["PatternTransaction"]:
        self.locks.append(project)
        transaction = PatternTransaction(self.projects.setdefault(project, _ProjectPatterns()))
        yield transaction
        if self.fail_after_keep is not None:
            error, self.fail_after_keep = self.fail_after_keep, None
            raise error
        transaction.commit()
        self.kept.extend(transaction.decided)


class PatternTransaction:
    """A `PatternWriter` on one project."""

    def __init__(self, rows: _ProjectPatterns) -> None:
        self.rows = rows
        self.decided: list[Decided] = []

    async def decisions(self, event_ids: Sequence[str]) -> Mapping[str, Assignment]:
        return {one: self.rows.decisions[one] for one in event_ids if one in self.rows.decisions}

    async def fingerprints(self, fingerprints: Sequence[str]) -> Mapping[str, KnownFingerprint]:
        known = self.rows.fingerprints
        return {one: known[one] for one in fingerprints if one in known}

    async def patterns_after(self, space: str, seq: int) -> Sequence[StoredPattern]:
        return [one for one in self.rows.patterns.get(space, []) if one.seq > seq]

    async def keep(self, decided: Sequence[Decided]) -> None:
        ids = [one.candidate.event_id for one in decided]
        assert len(set(ids)) == len(ids), "an event was decided twice in one batch"
        assert not self.rows.decisions.keys() & set(ids), "an event was decided again"
        self.decided.extend(decided)

    def commit(self) -> None:
        for one in self.decided:
            made = one.assignment
            self.rows.decisions[one.candidate.event_id] = made
            known = KnownFingerprint(made.pattern_id, made.distance)
            self.rows.fingerprints.setdefault(made.fingerprint, known)
            self.rows.counts[made.pattern_id] = self.rows.counts.get(made.pattern_id, 0) + 1
            if one.vector is not None:
                rows = self.rows.patterns.setdefault(made.embedding_space, [])
                vector = one.vector.astype("<f4").tobytes()
                rows.append(StoredPattern(len(rows) + 1, made.pattern_id, vector))


class EmbedderDouble:
    """An `Embedder` of the hashing model; texts that hold `unembeddable` are answered in words."""

    space = "hashing/1"

    def __init__(self) -> None:
        self.model = load_model(HASHING_MODEL, threads=1)
        self.asked: list[str] = []
        self.waits = 0

    async def ready(self) -> None:
        self.waits += 1

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        self.asked.extend(texts)
        vectors = self.model.encode(texts)
        return [
            "no vector for this one" if "unembeddable" in text else vector
            for text, vector in zip(texts, vectors, strict=True)
        ]


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


@pytest.fixture
def pattern_store() -> PatternStoreDouble:
    """A store without patterns."""
    return PatternStoreDouble()


@pytest.fixture
def embedder() -> EmbedderDouble:
    """An embedder that is there at once."""
    return EmbedderDouble()


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
