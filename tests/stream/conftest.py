"""What the loop's tests share: two logs, handlers that misbehave, hostile messages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capture.events import FailingSignal, Failure, TraceReceived
from capture.trace import Trace
from services.errors import Unavailable
from services.stream import envelope
from services.stream.holding import Holding
from services.stream.limit import DeadLetterLimit
from services.stream.loop import Loop
from services.stream.loop_settings import LoopSettings
from services.stream.outcome import Emit, Event, Outcome
from services.stream.port import Message, Record
from services.stream.sqlite import SqliteStream
from services.telemetry import Metrics

LARGEST_BYTES = 1 << 20
NO_LIMIT = DeadLetterLimit(ratio=1.1)


class Double:
    """A log in memory that says what was done with it, and fails when told to."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = {}
        self.journal: list[tuple[str, int]] = []
        self.faults: dict[str, int] = {"publish": 0, "fetch": 0, "commit": 0}
        self.committed = 0
        self._next = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self._maybe_fail("publish")
        for message in messages:
            topic = self.topics.setdefault(message.topic, [])
            place = (message.topic, 0, len(topic))
            topic.append(Record(*place, message.key, message.value, message.headers, 0))
        self.journal.append(("publish", len(messages)))

    async def browse(self, topic: str, *, limit: int) -> Sequence[Record]:
        return self.topics.get(topic, [])[-limit:]

    def source(self, topic: str, group: str) -> "Double":
        self._next = self.committed
        return self

    async def fetch(self, *, limit: int, wait_seconds: float) -> Sequence[Record]:
        self._maybe_fail("fetch")
        records = self.topics.get("in", [])[self._next : self._next + limit]
        self._next += len(records)
        if not records:
            await asyncio.sleep(0.001)
        return records

    async def commit(self, records: Sequence[Record]) -> None:
        self._maybe_fail("commit")
        self.committed = records[-1].offset + 1
        self.journal.append(("commit", len(records)))

    async def close(self) -> None:
        self._next = self.committed

    def _maybe_fail(self, what: str) -> None:
        if self.faults[what] > 0:
            self.faults[what] -= 1
            message = f"{what} is down"
            raise Unavailable(message)


class Remembered:
    """Attempts that survive the loop, as the store's survive the process."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    async def begin(self, consumer: str, positions: Sequence[str]) -> Mapping[str, int]:
        for position in positions:
            self.counts[consumer, position] = self.counts.get((consumer, position), 0) + 1
        return {position: self.counts[consumer, position] for position in positions}

    async def end(self, consumer: str, positions: Sequence[str]) -> None:
        for position in positions:
            self.counts.pop((consumer, position), None)


class Wrapping:
    """A stage that makes a failure of every trace and passes everything else on."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Event]] = []
        self.accepts = (object,)

    async def ready(self) -> None:
        return

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.batches.append(events)
        return [self.decide(event) for event in events]

    def decide(self, event: Event) -> Outcome:
        if not isinstance(event, TraceReceived):
            return Emit(event)
        signal = FailingSignal(name="error", scorer="error/1", severity="high", reason="it broke")
        failure = Failure(
            event_id=event.event_id,
            trace=event.trace,
            signals=(signal,),
            severity="high",
            failed_at=datetime(2026, 1, 2, tzinfo=UTC),
        )
        return Emit(failure)


@pytest.fixture
def double() -> Double:
    return Double()


@pytest.fixture(params=["double", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """A log that the loop reads `in` of, and writes `out` and `in.dlq` to."""
    if request.param == "double":
        yield Double()
        return
    stream = SqliteStream(
        tmp_path / "stream.db", retention_ms=3_600_000, max_message_bytes=LARGEST_BYTES
    )
    await stream.start()
    yield stream
    await stream.close()


@pytest.fixture
def remembered() -> Remembered:
    return Remembered()


@pytest.fixture
def wrapping() -> type[Wrapping]:
    return Wrapping


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make_loop(remembered: Remembered, metrics: Metrics) -> Callable[..., Loop]:
    """A loop over a log; a second one is what comes after a restart."""

    def make(
        log: Any,
        handler: Any,
        decode: Any = envelope.decode,
        holding: Holding | None = None,
        **changes: Any,
    ) -> Loop:
        given = {"batch": 10, "limit": NO_LIMIT, "max_message_bytes": LARGEST_BYTES, **changes}
        settings = LoopSettings("scorer", "scorer", "out", "in.dlq", wait_seconds=0.01, **given)
        return Loop(
            settings,
            source=log.source("in", "scorer"),
            publisher=log,
            handler=handler,
            attempts=remembered,
            metrics=metrics.stage("scorer"),
            decode=decode,
            holding=holding,
        )

    return make


@pytest.fixture
def running() -> Callable[[Loop], AbstractAsyncContextManager[asyncio.Task[None]]]:
    """Run a loop while the body runs, then stop it as a process would."""

    @asynccontextmanager
    async def running(loop: Loop) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(loop.run())
        try:
            yield task
        finally:
            loop.stop()
            await asyncio.wait_for(task, 60)

    return running


@pytest.fixture
def arrived() -> Callable[..., Awaitable[Sequence[Record]]]:
    """Wait until so many records, with a key that starts so, are in a topic; return those."""

    async def arrived(log: Any, topic: str, count: int, key: bytes = b"") -> Sequence[Record]:
        records: Sequence[Record] = []
        for _ in range(2000):
            found = await log.browse(topic, limit=10_000)
            records = [record for record in found if record.key.startswith(key)]
            if len(records) >= count:
                return records
            await asyncio.sleep(0.005)
        pytest.fail(f"{topic} has {len(records)} records, not {count}")

    return arrived


@pytest.fixture
def committed() -> Callable[[Double, int], Awaitable[None]]:
    """Wait until the loop has committed up to an offset."""

    async def committed(double: Double, offset: int) -> None:
        for _ in range(2000):
            if double.committed >= offset:
                return
            await asyncio.sleep(0.005)
        pytest.fail(f"committed up to {double.committed}, not {offset}")

    return committed


@pytest.fixture
def well_formed() -> Callable[[int], Message]:
    """A trace that nothing is wrong with."""

    def well_formed(number: int) -> Message:
        trace = Trace(trace_id=f"t-{number}", project="airline", input="Where is my bag?")
        return envelope.encode(TraceReceived(event_id=f"e-{number}", trace=trace), "in")

    return well_formed
