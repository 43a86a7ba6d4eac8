"""Asks one scorer, as a policy states it, about one trace."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from capture.events import FailingSignal
from capture.policy import ScoringPolicy
from capture.scorers import Examination, examine
from capture.trace import Trace

Ask = Callable[..., list[FailingSignal]]


@pytest.fixture(scope="session")
def examined() -> Callable[..., Examination]:
    """Everything that scorers said: `examined({"type": ...}, input="q", output="a")`."""

    def ask(*scorers: dict[str, Any], **trace: Any) -> Examination:
        policy = msgspec.convert({"scorers": scorers}, ScoringPolicy)
        return examine(Trace(**{"trace_id": "t", "project": "p"} | trace), policy)

    return ask


@pytest.fixture(scope="session")
def ask(examined: Callable[..., Examination]) -> Ask:
    """What one scorer found; it must have had no trouble."""

    def signals(scorer: dict[str, Any], **trace: Any) -> list[FailingSignal]:
        found = examined(scorer, **trace)
        assert found.problems == ()
        return list(found.signals)

    return signals
