"""Whatever an event says, it is read as it was written."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from capture.events import (
    SEVERITIES,
    FailingSignal,
    Failure,
    FeedbackReceived,
    Span,
    SpansReceived,
    TraceReceived,
)
from capture.trace import Signal, Step, Trace
from dedup.events import Assigned, Assignment
from grade.events import Grade, Graded
from services.stream import envelope
from services.stream.outcome import DeadLetter
from services.stream.port import Record

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
contents = (
    st.none() | texts | st.dictionaries(texts, json_values) | st.lists(json_values, max_size=3)
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis wants its bounds naive
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - the same
    timezones=st.just(UTC) | zones,
)
ids = st.text(min_size=1, max_size=128)
signals = st.builds(
    Signal,
    name=ids,
    value=st.none() | st.booleans() | numbers | texts,
    source=texts,
    comment=st.none() | texts,
)
steps = st.builds(
    Step,
    type=st.sampled_from(["user", "assistant", "tool_call", "tool_result", "retrieval"]),
    name=st.none() | texts,
    content=contents,
    arguments=contents,
    error=st.none() | st.booleans() | texts,
    started_at=st.none() | moments,
    latency_ms=st.none() | amounts,
)
traces = st.builds(
    Trace,
    trace_id=ids,
    project=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"),
    started_at=st.none() | moments,
    latency_ms=st.none() | amounts,
    tokens_in=st.none() | st.integers(min_value=0, max_value=2**63 - 1),
    input=contents,
    output=contents,
    steps=st.lists(steps, max_size=3).map(tuple),
    signals=st.lists(signals, max_size=3).map(tuple),
    metadata=st.dictionaries(texts, json_values, max_size=3),
)
failures = st.builds(
    Failure,
    event_id=ids,
    trace=traces,
    signals=st.lists(
        st.builds(
            FailingSignal,
            name=ids,
            scorer=texts,
            severity=st.sampled_from(SEVERITIES),
            reason=texts,
            value=st.none() | st.booleans() | numbers | texts,
        ),
        max_size=2,
    ).map(tuple),
    severity=st.sampled_from(SEVERITIES),
    failed_at=moments,
)
assignments = st.builds(
    Assignment,
    pattern_id=ids,
    decided_by=st.sampled_from(["first", "fingerprint", "embedding"]),
    distance=numbers,
    nearest_distance=st.none() | numbers,
    fingerprint=texts,
    embedding_space=texts,
)
assigned = st.builds(Assigned, failure=failures, assignment=assignments)
graded = st.builds(
    Graded,
    assigned=assigned,
    grade=st.builds(
        Grade,
        severity=st.sampled_from(SEVERITIES),
        weight=numbers,
        components=st.dictionaries(texts, numbers, max_size=3),
    ),
)
spans = st.builds(
    SpansReceived,
    event_id=ids,
    project=st.just("p"),
    trace_id=ids,
    resource=st.dictionaries(texts, json_values, max_size=3),
    spans=st.lists(
        st.builds(
            Span,
            span_id=texts,
            parent_span_id=st.none() | texts,
            start_ns=st.integers(min_value=0, max_value=2**63 - 1),
            attributes=st.dictionaries(texts, json_values, max_size=3),
        ),
        max_size=3,
    ).map(tuple),
)
events = (
    st.builds(TraceReceived, event_id=ids, trace=traces)
    | st.builds(FeedbackReceived, event_id=ids, project=st.just("p"), trace_id=ids, signal=signals)
    | spans
    | failures
    | assigned
    | graded
)


@given(event=events)
def test_every_event_survives_the_round_trip(event):
    message = envelope.encode(event, "topic")
    record = Record("topic", 0, 0, message.key, message.value, message.headers, 0)
    read = envelope.decode(record)
    assert read == event
    assert envelope.encode_body(read) == message.value
    assert b"\n" not in message.value
    assert record.header("event_id") == event.event_id
    assert record.header("project") == event.project


@given(
    key=st.binary(max_size=40),
    value=st.binary(max_size=40),
    headers=st.lists(st.tuples(st.text(max_size=9).map("x".__add__), st.binary(max_size=9))),
    detail=st.text(alphabet=st.characters(), max_size=60),
)
def test_a_parked_message_survives_being_parked_twice(key, value, headers, detail):
    """Its bytes and headers are those it had at first, whatever the detail says."""
    record = Record("in", 3, 14, key, value, tuple(headers), 0)
    verdict = DeadLetter("handler_error", detail)
    for _ in range(2):
        letter = envelope.dead_letter(record, verdict, topic="in.dlq", stage="scorer")
        parked = Record("in.dlq", 0, 0, letter.key, letter.value, letter.headers, 0)
        assert len([name for name, _ in letter.headers if name == "dlq.reason"]) == 1
        revived = envelope.revive(parked)
        assert (revived.topic, revived.key, revived.value) == ("in", key, value)
        assert revived.headers == tuple(headers)
        record = Record("in", 3, 15, revived.key, revived.value, revived.headers, 0)
