"""The eval case: a pattern's representative, made into something a harness can run."""

from datetime import datetime
from typing import Literal

import msgspec

from capture.events import Fault, Severity
from capture.trace import Content, Step

CaseSet = Literal["blocking", "monitoring", "backlog"]
WaitsFor = Literal[
    "expected",  # somebody has to say what the right answer is
    "review",  # somebody has to decide whether this matters
]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a case comes from. Enough to find the trace again and to redo the decision."""

    trace_id: str
    event_id: str
    pattern_id: str
    failed_at: datetime
    started_at: datetime | None = None
    environment: str | None = None
    release: str | None = None
    model: str | None = None
    session_id: str | None = None
    scorers: tuple[str, ...] = ()
    embedding_space: str = ""


class CaseSignal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failing signal of the representative, as a reviewer reads it."""

    name: str
    reason: str
    severity: Severity
    value: bool | float | str | None = None
    source: str = "scorer"
    fault: Fault = "unknown"


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One eval case. `failing_output` is what went wrong; it is never the expected answer."""

    case_id: str
    project: str
    pattern_id: str
    set: CaseSet
    waits_for: WaitsFor | None = None
    input: Content = None
    steps: tuple[Step, ...] = ()
    failing_output: Content = None
    expected: Content = None
    label: str
    severity: Severity
    weight: float
    components: dict[str, float]
    set_by: str | None = None
    """Who chose the set; None: the policy's rules did."""
    tags: tuple[str, ...] = ()
    signals: tuple[CaseSignal, ...] = ()
    provenance: Provenance
    created_at: datetime
