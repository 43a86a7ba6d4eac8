"""What the loop's tests share: two logs, handlers that misbehave, hostile messages."""

import asyncio
import gzip
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
from services.stream.limit import DeadLetterLimit
from services.stream.loop import Loop, LoopSettings
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

    async def rewind(self) -> None:
        self._next = self.committed

    async def close(self) -> None:
        await self.rewind()

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

    def make(log: Any, handler: Any, **changes: Any) -> Loop:
        given = {"batch": 10, "limit": NO_LIMIT, "max_message_bytes": LARGEST_BYTES, **changes}
        settings = LoopSettings("scorer", "scorer", "out", "in.dlq", wait_seconds=0.01, **given)
        return Loop(
            settings,
            source=log.source("in", "scorer"),
            publisher=log,
            handler=handler,
            attempts=remembered,
            metrics=metrics.stage("scorer"),
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
            await asyncio.wait_for(task, 10)

    return running


@pytest.fixture
def arrived() -> Callable[..., Awaitable[Sequence[Record]]]:
    """Wait until so many records are in a topic; return all of them."""

    async def arrived(log: Any, topic: str, count: int) -> Sequence[Record]:
        records: Sequence[Record] = []
        for _ in range(2000):
            records = await log.browse(topic, limit=10_000)
            if len(records) >= count:
                return records
            await asyncio.sleep(0.005)
        pytest.fail(f"{topic} has {len(records)} records, not {count}")

    return arrived


@pytest.fixture
def well_formed() -> Callable[[int], Message]:
    """A trace that nothing is wrong with."""

    def well_formed(number: int) -> Message:
        trace = Trace(trace_id=f"t-{number}", project="airline", input="Where is my bag?")
        return envelope.encode(TraceReceived(event_id=f"e-{number}", trace=trace), "in")

    return well_formed


_GOOD = b'{"event_id":"e","trace":{"trace_id":"t","project":"airline","metadata":%s}}'

HOSTILE: dict[str, tuple[bytes | None, bytes]] = {
    "nothing at all": (b"trace/1", b""),
    "no schema": (None, _GOOD % b"{}"),
    "a schema from the future": (b"trace/2", _GOOD % b"{}"),
    "a schema that is no text": (b"\xff\xfe", _GOOD % b"{}"),
    "a very long schema": (b"x" * 20_000, _GOOD % b"{}"),
    "another event's schema": (b"case/1", _GOOD % b"{}"),
    "zeros": (b"trace/1", bytes(1000)),
    "bytes that are no text": (b"trace/1", b"\xff\xfe\xfd"),
    "a byte order mark": (b"trace/1", b"\xef\xbb\xbf" + _GOOD % b"{}"),
    "another encoding": (b"trace/1", (_GOOD % b"{}").decode().encode("utf-16")),
    "compressed": (b"trace/1", gzip.compress(_GOOD % b"{}")),
    "cut off": (b"trace/1", (_GOOD % b"{}")[:-3]),
    "something behind": (b"trace/1", _GOOD % b"{}" + b"{}"),
    "null": (b"trace/1", b"null"),
    "a list": (b"trace/1", b"[%s]" % (_GOOD % b"{}")),
    "a text": (b"trace/1", b'"trace"'),
    "no trace": (b"trace/1", b'{"event_id":"e"}'),
    "a trace that is a list": (b"trace/1", b'{"event_id":"e","trace":[]}'),
    "an empty trace id": (b"trace/1", (_GOOD % b"{}").replace(b'"t"', b'""')),
    "a trace id of a megabyte": (
        b"trace/1",
        (_GOOD % b"{}").replace(b'"t"', b'"%s"' % (b"t" * 1_000_000)),
    ),
    "a project that is a path": (b"trace/1", (_GOOD % b"{}").replace(b"airline", b"../../etc")),
    "a number out of range": (b"trace/1", _GOOD % b'{"n":1e999}'),
    "not a number": (b"trace/1", _GOOD % b'{"n":NaN}'),
    "half a surrogate": (b"trace/1", _GOOD % b'{"s":"\\ud800"}'),
    "a zero in a text": (b"trace/1", _GOOD % b'{"s":"\\u0000"}'),
    "a number of 4,000 digits": (b"trace/1", _GOOD % (b'{"n":1%s}' % (b"0" * 4000))),
    "100,000 brackets": (b"trace/1", _GOOD % (b'{"n":%s}' % (b"[" * 100_000))),
    "nested too deep to read": (b"trace/1", _GOOD % (b'{"n":%s1%s}' % (b"[" * 5000, b"]" * 5000))),
    **{
        f"nested {deep} deep": (b"trace/1", _GOOD % (b'{"n":%s1%s}' % (b"[" * deep, b"]" * deep)))
        for deep in range(880, 1000, 4)  # what can just be read cannot always be written again
    },
    "the same field twice": (b"trace/1", _GOOD % b'{"a":1,"a":2}'),
    "a negative cost of tokens": (
        b"trace/1",
        b'{"event_id":"e","trace":{"trace_id":"t","project":"p","tokens_in":-1}}',
    ),
    "a step of an unknown type": (
        b"trace/1",
        b'{"event_id":"e","trace":{"trace_id":"t","project":"p","steps":[{"type":"magic"}]}}',
    ),
    "a date that is none": (
        b"trace/1",
        b'{"event_id":"e","trace":{"trace_id":"t","project":"p","started_at":"yesterday"}}',
    ),
    "almost as large as messages may be": (
        b"trace/1",
        _GOOD % (b'{"s":"%s"}' % (b"x" * (LARGEST_BYTES - 120))),
    ),
}


def _message(schema: bytes | None, value: bytes) -> Message:
    headers = () if schema is None else (("schema", schema),)
    odd = (("traceparent", b"\xff not a parent \x00"), ("dlq.reason", b"an older one"))
    return Message("in", b"\x00\xff", value, headers + odd)


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Message:
    return _message(*HOSTILE[request.param])


@pytest.fixture
def all_hostile() -> list[Message]:
    return [_message(*item) for item in HOSTILE.values()]
