"""Failures to deduplicate."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.events import FailingSignal, Failure
from capture.trace import Trace


@pytest.fixture(scope="session")
def make_failure() -> Callable[..., Failure]:
    """A failure whose trace has the given fields."""

    def make(trace_id: str = "t1", *, signal: str = "error", **trace: Any) -> Failure:
        return Failure(
            event_id=f"event-{trace_id}",
            trace=Trace(trace_id=trace_id, project="shop", **trace),
            signals=(
                FailingSignal(name=signal, scorer="error/1", severity="high", reason="It broke."),
            ),
            severity="high",
            failed_at=datetime(2026, 1, 2, tzinfo=UTC),
        )

    return make
