"""capture's two loops on a real archive, a file, and a clock that tests set."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from capture.events import (
    Failure,
    FeedbackReceived,
    Piece,
    PieceBody,
    Span,
    SpansReceived,
    TraceReceived,
    TraceSettled,
)
from capture.trace import Signal, Trace
from services.archive import TraceRow
from services.examiner import ScorerExaminer
from services.intake import Intake, received
from services.policy import Policies
from services.scorer import Scoring
from services.settling import Settling
from services.store.open import Store
from services.stream import envelope
from services.stream.outcome import Emit, Event, Outcome
from services.stream.port import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
THUMB_DOWN = Signal(name="thumbs", value=False, source="user")


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.ms = round(NOW.timestamp() * 1000)

    def __call__(self) -> int:
        return self.ms

    def utc(self) -> datetime:
        """The same moment."""
        return datetime.fromtimestamp(self.ms / 1000, tz=UTC)


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """An empty store in a file."""
    opened = Store(sqlite_url)
    yield opened
    await opened.close()


class FromTopic(Intake):
    """The first loop's handler, which is given events as the stream would give them to it."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Handle the records that carry these events."""
        messages = [envelope.encode(event, "traces") for event in events]
        records = [
            Record(one.topic, 0, place, one.key, one.value, one.headers, 0)
            for place, one in enumerate(messages)
        ]
        return await super().handle([received(record) for record in records])


@pytest.fixture
def intake(store: Store, clock: Clock) -> Intake:
    """The first loop's handler: traces are due after 5 s of quiet, or an hour."""
    return FromTopic(store.archive, settle_seconds=5, settle_max_seconds=3600, clock_ms=clock)


@pytest.fixture
def make_settling(store: Store, clock: Clock) -> Callable[..., Settling]:
    """Makes the second loop's source, as another worker or the next process would have it."""
    return lambda clock_ms=clock: Settling(
        store.archive, "traces", settle_seconds=5, settle_max_seconds=3600, clock_ms=clock_ms
    )


@pytest.fixture
def settling(make_settling: Callable[..., Settling]) -> Settling:
    """The second loop's source."""
    return make_settling()


@pytest.fixture
def scoring(policies: Policies, settling: Settling, clock: Clock) -> Scoring:
    """The second loop's handler."""
    return Scoring(policies, ScorerExaminer(), clock=clock.utc, on_verdict=settling.found)


@pytest.fixture
def turn(settling: Settling, scoring: Scoring) -> Callable[[], Any]:
    """One turn of the second loop: fetch, decide, commit."""

    async def once() -> Sequence[Outcome]:
        records = await settling.fetch(limit=100, wait_seconds=0)
        outcomes = await scoring.handle([envelope.decode(record) for record in records])
        await settling.commit(records)
        return outcomes

    return once


@pytest.fixture
def row(store: Store) -> Callable[..., Any]:
    """What the archive knows of a trace."""

    async def look(trace_id: str = "t1", project: str = "shop") -> TraceRow | None:
        found = await store.traces.find(trace_id, project=project)
        return found[0] if found else None

    return look


@pytest.fixture(scope="session")
def trace() -> Callable[..., TraceReceived]:
    """A native trace, whole."""

    def make(trace_id: str = "t1", project: str = "shop", **fields: Any) -> TraceReceived:
        said = {"input": "q", "output": "a"} | fields
        return TraceReceived(
            event_id=f"piece-{trace_id}",
            trace=Trace(trace_id=trace_id, project=project, **said),
        )

    return make


@pytest.fixture(scope="session")
def spans() -> Callable[..., SpansReceived]:
    """Spans of a trace; each is `(id, parent's id or None, end in seconds or 0)`."""

    def make(
        *told: tuple[str, str | None, float], trace_id: str = "t1", **root: Any
    ) -> SpansReceived:
        made = tuple(
            Span(
                span_id=name,
                parent_span_id=parent,
                name="chat",
                start_ns=10**9,
                end_ns=round(end * 10**9),
                attributes=root if parent is None else {},
            )
            for name, parent, end in told
        )
        event_id = "spans-" + "-".join(f"{name}.{end}" for name, _, end in told)
        return SpansReceived(event_id=event_id, project="shop", trace_id=trace_id, spans=made)

    return make


@pytest.fixture(scope="session")
def feedback() -> Callable[..., FeedbackReceived]:
    """A signal about a trace; by default a thumb down."""

    def make(trace_id: str = "t1", signal: Signal = THUMB_DOWN, **names: str) -> FeedbackReceived:
        return FeedbackReceived(
            event_id=f"feedback-{trace_id}-{signal.name}-{signal.value}",
            project="shop",
            trace_id=trace_id,
            signal=signal,
            **names,
        )

    return make


@pytest.fixture(scope="session")
def settled() -> Callable[..., TraceSettled]:
    """A trace that has gone quiet."""

    def make(*pieces: Piece, **fields: Any) -> TraceSettled:
        bodies = [
            PieceBody(envelope.schema_of(piece), msgspec.Raw(envelope.encode_body(piece)))
            for piece in pieces
        ]
        return TraceSettled(
            event_id=f"settled-{pieces[0].trace_id}",
            project=pieces[0].project,
            trace_id=pieces[0].trace_id,
            pieces=tuple(bodies),
            **fields,
        )

    return make


@pytest.fixture(scope="session")
def failures() -> Callable[[Sequence[Outcome]], list[Failure]]:
    """The failures among outcomes."""

    def emitted(outcomes: Sequence[Outcome]) -> list[Failure]:
        events = [outcome.event for outcome in outcomes if isinstance(outcome, Emit)]
        return [event for event in events if isinstance(event, Failure)]

    return emitted
