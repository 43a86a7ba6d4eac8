"""Graded failures to promote."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.events import SEVERITIES, FailingSignal, Failure, Fault, Severity
from capture.trace import Trace
from dedup.events import Assigned, Assignment, DecidedBy
from grade.events import Graded
from grade.weight import grade


@pytest.fixture(scope="session")
def make_graded() -> Callable[..., Graded]:
    """A graded failure with signals of the given severities; `trace` are fields of its trace."""

    def make(
        severities: Sequence[Severity] = ("high",),
        *,
        distance: float | None = None,
        decided_by: DecidedBy = "first",
        fault: Fault = "model",
        **trace: Any,
    ) -> Graded:
        signals = tuple(
            FailingSignal(
                name=f"s{n}", scorer=f"k{n % 2}/1", severity=severity, reason=f"R{n}.", fault=fault
            )
            for n, severity in enumerate(severities)
        )
        failure = Failure(
            event_id="e1",
            trace=Trace(**{"trace_id": "t1", "project": "shop"} | trace),
            signals=signals,
            severity=max(severities, key=SEVERITIES.index),
            failed_at=datetime(2026, 1, 2, tzinfo=UTC),
            fault=fault,
        )
        assignment = Assignment(
            pattern_id="p1",
            decided_by=decided_by,
            distance=0.0,
            nearest_distance=distance,
            fingerprint="f1",
            embedding_space="test/1",
        )
        assigned = Assigned(failure=failure, assignment=assignment)
        return Graded(assigned=assigned, grade=grade(assigned))

    return make
