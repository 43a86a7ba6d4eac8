"""Assigned failures to grade."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from capture.events import FailingSignal, Failure, Severity
from capture.trace import Trace
from dedup.events import Assigned, Assignment


@pytest.fixture(scope="session")
def make_assigned() -> Callable[..., Assigned]:
    """A failure of the given severity, assigned at the given distance (None: there was none)."""

    def make(severity: Severity = "high", nearest_distance: float | None = None) -> Assigned:
        failure = Failure(
            event_id="e1",
            trace=Trace(trace_id="t1", project="shop"),
            signals=(FailingSignal(name="x", scorer="x/1", severity=severity, reason="It broke."),),
            severity=severity,
            failed_at=datetime(2026, 1, 2, tzinfo=UTC),
        )
        assignment = Assignment(
            pattern_id="p1",
            decided_by="first" if nearest_distance is None else "embedding",
            distance=nearest_distance or 0.0,
            nearest_distance=nearest_distance,
            fingerprint="f1",
            embedding_space="test/1",
        )
        return Assigned(failure=failure, assignment=assignment)

    return make
