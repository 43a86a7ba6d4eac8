"""The events capture emits: pieces of a trace on `traces`, failures on `failures`."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from capture.trace import ProjectName, Signal, SignalName, Trace, TraceId

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")

Fault = Literal[
    "model",  # the application answered wrongly: worth a test
    "infrastructure",  # quota, timeout, 5xx, a client that left: counted and shown, never a case
    "input",  # the question could not be answered: a person decides
    "unknown",  # an error nobody recognised: a person decides
]
FAULTS: tuple[Fault, ...] = ("model", "infrastructure", "input", "unknown")

Nanoseconds = Annotated[int, msgspec.Meta(ge=0)]


class TraceReceived(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole trace in the native format. Schema `trace/1`, topic `traces`."""

    event_id: str
    trace: Trace

    @property
    def project(self) -> str:
        """The trace's project."""
        return self.trace.project

    @property
    def trace_id(self) -> str:
        """The trace's id."""
        return self.trace.trace_id


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One OpenTelemetry span, as it came: assembling a trace from spans is done when all are there.

    `attributes` has plain JSON values. Times are nanoseconds since the epoch by the client's clock.
    """

    span_id: str
    parent_span_id: str | None = None
    name: str = ""
    kind: int = 0
    start_ns: Nanoseconds = 0
    end_ns: Nanoseconds = 0
    status_code: int = 0
    status_message: str = ""
    attributes: dict[str, Any] = {}
    events: tuple[dict[str, Any], ...] = ()
    """Each has `name`, `time_ns` and `attributes`."""
    partial: bool = False
    """Only events of the span that came as log records: nothing is known here of the span's parent,
    end and name, and its start is the record's time. It is neither a root nor the end of one."""


class SpansReceived(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spans of one trace that arrived together. Schema `spans/1`, topic `traces`."""

    event_id: str
    project: ProjectName
    trace_id: TraceId
    resource: dict[str, Any] = {}
    spans: tuple[Span, ...] = ()


class FeedbackReceived(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A signal about a trace that was, or will be, sent. Schema `feedback/1`, topic `traces`.

    Some senders only know a span or a session. Then `span_id` or `session_id` names it and
    `trace_id` is `span:<id>` or `session:<id>`: the archive finds the trace it belongs to. With a
    real `trace_id`, they only say more closely what was meant.
    """

    event_id: str
    project: ProjectName
    trace_id: TraceId
    signal: Signal
    span_id: str | None = None
    session_id: str | None = None


class PieceBody(msgspec.Struct, frozen=True):
    """A piece as it was received: its schema and its undecoded JSON."""

    schema: str
    body: msgspec.Raw


class TraceSettled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that was received of a trace that has gone quiet, in order of arrival. Schema `settled/1`.

    `already_failed` says that the trace's failure was emitted before this, and `failing` for which
    signals. A `final` trace is scored whether or not it is complete: its hard age limit has passed,
    or it was scored before. Of an `unquiet` one pieces were still coming when the limit passed.
    """

    event_id: str
    project: ProjectName
    trace_id: TraceId
    pieces: tuple[PieceBody, ...]
    already_failed: bool = False
    failing: tuple[str, ...] = ()
    final: bool = False
    unquiet: bool = False


Piece = TraceReceived | SpansReceived | FeedbackReceived
"""What can be learnt of one trace at one time. A trace is all its pieces together."""


class FailingSignal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A scorer's verdict that a trace went wrong, and why."""

    name: SignalName
    scorer: str
    """The scorer and its version, e.g. `latency/1`."""
    severity: Severity
    reason: str
    """One sentence for a person: what was found, and the bound it crossed."""
    value: bool | float | str | None = None
    source: str = "scorer"
    fault: Fault = "unknown"
    """Whose failure this signal tells of."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trace with at least one failing signal. Schema `failure/1`, topic `failures`."""

    event_id: str
    trace: Trace
    signals: tuple[FailingSignal, ...]
    severity: Severity
    failed_at: datetime
    """When it was found to have failed, by the server's clock, in UTC."""
    fault: Fault = "unknown"
    """Whose failure it is, by all its signals together (`capture/fault.py`)."""

    @property
    def project(self) -> str:
        """The trace's project."""
        return self.trace.project

    @property
    def trace_id(self) -> str:
        """The trace's id."""
        return self.trace.trace_id
