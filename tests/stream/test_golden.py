"""Golden bytes of every event schema stay decodable for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from capture.events import (
    FailingSignal,
    Failure,
    FeedbackReceived,
    PieceBody,
    Span,
    SpansReceived,
    TraceReceived,
    TraceSettled,
)
from capture.trace import Signal, Step, Trace
from dedup.events import Assigned, Assignment
from grade.events import Grade, Graded
from promote.case import Case, CaseSignal, Provenance
from promote.events import CasePromoted
from services.stream import envelope

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
WHEN = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)

TRACE = Trace(
    trace_id="t-1",
    project="airline",
    environment="production",
    release="2026.3.1",
    model="small-1",
    started_at=WHEN - timedelta(seconds=2),
    latency_ms=1834.5,
    cost_usd=0.0021,
    tokens_in=812,
    tokens_out=64,
    session_id="s-9",
    user_id="u-7f3a",
    input=[{"role": "user", "content": "Where is my bag? \U0001f9f3 Grüße"}],
    output="I can't help with that.",
    steps=(
        Step(type="user", content="Where is my bag?"),
        Step(
            type="tool_call",
            name="find_bag",
            call_id="c-1",
            arguments={"tag": "0220 123456"},
            started_at=WHEN,
        ),
        Step(
            type="tool_result", name="find_bag", call_id="c-1", error="timeout", latency_ms=1500.0
        ),
    ),
    signals=(
        Signal(name="task_resolved", value=0.0, source="outcome"),
        Signal(name="thumbs", value=False, source="user", comment='no "help" at all'),
    ),
    metadata={"big": 12345678901234567890, "nested": {"list": [1, 2.5, None, True]}},
)
FAILURE = Failure(
    event_id="f" * 32,
    trace=TRACE,
    signals=(
        FailingSignal(
            name="task_resolved",
            scorer="signal_below/1",
            severity="high",
            reason="task_resolved is 0, below 0.5",
            value=0.0,
            source="outcome",
        ),
    ),
    severity="high",
    failed_at=WHEN,
)
ASSIGNED = Assigned(
    failure=FAILURE,
    assignment=Assignment(
        pattern_id="p-1",
        decided_by="embedding",
        distance=0.21875,
        nearest_distance=0.21875,
        fingerprint="0123456789abcdef",
        embedding_space="all-MiniLM-L6-v2/torch-fp32",
    ),
)
EVENTS = {
    "trace/1": TraceReceived(event_id="a" * 32, trace=TRACE),
    "spans/1": SpansReceived(
        event_id="b" * 32,
        project="airline",
        trace_id="5b8efff798038103d269b633813fc60c",
        resource={"service.name": "support"},
        spans=(
            Span(
                span_id="eee19b7ec3c1b174",
                parent_span_id="eee19b7ec3c1b173",
                name="chat small-1",
                kind=3,
                start_ns=1_772_600_767_890_123_456,
                end_ns=1_772_600_768_890_123_456,
                status_code=2,
                status_message="deadline",
                attributes={"gen_ai.request.model": "small-1"},
                events=({"name": "exception", "time_ns": 1, "attributes": {}},),
            ),
            Span(span_id="eee19b7ec3c1b175"),
        ),
    ),
    "feedback/1": FeedbackReceived(
        event_id="c" * 32,
        project="airline",
        trace_id="t-1",
        signal=Signal(name="thumbs", value="down", source="user", comment="wrong"),
    ),
    "settled/1": TraceSettled(
        event_id="d" * 32,
        project="airline",
        trace_id="t-1",
        pieces=(PieceBody(schema="trace/1", body=msgspec.Raw(b'{"event_id":"x"}')),),
        already_failed=True,
    ),
    "failure/1": FAILURE,
    "assigned/1": ASSIGNED,
    "graded/1": Graded(
        assigned=ASSIGNED,
        grade=Grade(severity="high", weight=0.625, components={"severity": 0.75, "novelty": 0.5}),
    ),
    "case/1": CasePromoted(
        event_id="e" * 32,
        case=Case(
            case_id="k-1",
            project="airline",
            pattern_id="p-1",
            set="backlog",
            waits_for="expected",
            input=TRACE.input,
            steps=TRACE.steps[:1],
            failing_output=TRACE.output,
            label="task_resolved",
            severity="high",
            weight=0.625,
            components={"severity": 0.75},
            tags=("model:small-1",),
            signals=(CaseSignal(name="task_resolved", reason="it is 0", severity="high"),),
            provenance=Provenance(
                trace_id="t-1",
                event_id="f" * 32,
                pattern_id="p-1",
                failed_at=WHEN,
                started_at=WHEN,
                scorers=("signal_below/1",),
                embedding_space="all-MiniLM-L6-v2/torch-fp32",
            ),
            created_at=WHEN,
        ),
    ),
}


@pytest.mark.parametrize("schema", envelope.SCHEMAS)
def test_golden_bytes_are_still_the_event_they_were(schema):
    golden = (GOLDEN / f"{schema.replace('/', '-')}.json").read_bytes()
    assert comparable(envelope.decode_body(schema, golden)) == comparable(EVENTS[schema])


@pytest.mark.parametrize("schema", envelope.SCHEMAS)
def test_an_event_is_still_written_as_the_golden_bytes(schema):
    """Ids are derived from these bytes: a changed writing makes other ids."""
    golden = (GOLDEN / f"{schema.replace('/', '-')}.json").read_bytes()
    assert envelope.encode_body(EVENTS[schema]) == golden
    assert envelope.schema_of(EVENTS[schema]) == schema


def test_every_golden_file_has_its_schema():
    assert {path.stem for path in GOLDEN.iterdir()} == {
        schema.replace("/", "-") for schema in envelope.SCHEMAS
    }


@pytest.mark.parametrize("schema", envelope.SCHEMAS)
def test_fields_of_a_newer_client_are_ignored(schema):
    newer = envelope.encode_body(EVENTS[schema])[:-1] + b',"from_the_future":{"x":[1]}}'
    assert comparable(envelope.decode_body(schema, newer)) == comparable(EVENTS[schema])


def comparable(event):
    """The event with undecoded parts as bytes: msgspec.Raw compares by identity of its buffer."""
    return msgspec.to_builtins(event, enc_hook=bytes) if isinstance(event, TraceSettled) else event
