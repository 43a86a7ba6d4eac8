"""One project with a great deal to be decided does not starve the others: counted, not timed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.events import Failure
from services import wiring
from services.encoders import Encoders
from services.indexes import Indexes
from services.settings import Settings
from services.store.open import Store
from services.stream import envelope
from services.stream.holding import AGAIN_SECONDS
from services.stream.loop import Loop
from services.stream.outcome import Hold
from services.stream.port import Message, Record
from services.stream.sqlite import SqliteStream
from services.stream.topics import Topics
from services.telemetry import Metrics

Make = Callable[..., Failure]
TOPICS = Topics()
BATCH = 128  # of the service
MANY = 10_000
WORDS = ("ba", "ke", "lo", "mi", "nu", "pra", "ste", "vi", "zo", "tru", "gal", "hem")


@pytest.fixture
async def stream(tmp_path: Path) -> AsyncIterator[SqliteStream]:
    stream = SqliteStream(tmp_path / "stream.db", retention_ms=10**9, max_message_bytes=1 << 20)
    await stream.start()
    yield stream
    await stream.close()


@pytest.fixture
def parts(
    tmp_path: Path, stream: SqliteStream, store: Store, encoders: Encoders, indexes: Indexes
) -> wiring.Parts:
    """The dedup service's own, but for the model."""
    settings = Settings(home=tmp_path, embedding_model="hashing")
    return wiring.Parts(settings, stream, store, Metrics(), encoders, indexes)


@pytest.fixture
def many(make_failure: Make) -> list[Message]:
    """Failures of one project, each with words that no other has."""
    rng = random.Random(7)

    def words() -> str:
        return " ".join("".join(rng.choices(WORDS, k=4)) for _ in range(8))

    return [
        _message(make_failure(f"many-{number}", project="many", input=words()))
        for number in range(MANY)
    ]


async def test_ten_thousand_texts_of_one_project_do_not_starve_a_failure_among_them(
    parts: wiring.Parts, many: Sequence[Message], make_failure: Make, embedder: Any
) -> None:
    """It is decided after what came before it, and one batch: not after what came later."""
    own = _message(make_failure("own", project="small", input="my parcel is late"))
    middle = MANY // 4
    await parts.stream.publish([*many[:middle], own, *many[middle:]])
    async with _running(parts):
        await _decided(parts.stream, "small")
    assert len(embedder.asked) <= middle + 2 * BATCH
    assert embedder.calls <= middle // BATCH + 2, "all projects of a batch are embedded together"


async def test_ten_thousand_that_wait_for_their_encoder_do_not_starve_the_others(
    parts: wiring.Parts,
    many: Sequence[Message],
    make_failure: Make,
    embedder: Any,
    other_embedders: dict[str, Any],
) -> None:
    """Neither while they wait nor while they are decided at last: a batch each, in turn."""
    await parts.stream.publish([_message(make_failure("t0", project="many", input="the first"))])
    async with _running(parts):
        await _decided(parts.stream, "many")
    gone = other_embedders[embedder.encoder] = type(embedder)(embedder.encoder)
    gone.missing = "there is no compiled model in models."
    now = [0]
    configured = type(embedder)("another@1/onnx-int8@abc")
    after = msgspec.structs.replace(
        parts,
        encoders=Encoders(configured, lambda one: other_embedders[one]),
        metrics=Metrics(),
    )
    own = [
        _message(make_failure(f"own-{n}", project="small", input=f"my parcel is late {n * 'so '}"))
        for n in range(4)
    ]
    await parts.stream.publish([*many[:300], own[0]])
    async with _running(after, lambda: now[0]):
        await _decided(parts.stream, "small")
        assert gone.waits == 1, "whoever is missing is not looked for with every batch"
        gone.missing = None
    held = await parts.store.held.projects(TOPICS.group("deduper"))
    assert held["many"].records == 300
    records = [_as_record(one, 10_000 + n) for n, one in enumerate(many[300:])]
    hold = [(record, Hold("many", held["many"].why)) for record in records]
    await parts.store.held.hold(TOPICS.group("deduper"), hold, now_ms=0, due_ms=0)
    await parts.stream.publish(own[1:])
    now[0] = int(AGAIN_SECONDS * 1000)
    async with _running(after, lambda: now[0]):
        await _decided(parts.stream, "small", 4)
        assert len(gone.asked) <= 3 * BATCH
        before = len(gone.asked)
        await _decided(parts.stream, "many", before + 2 * BATCH)  # what waited goes on as well


def _message(failure: Failure) -> Message:
    return envelope.encode(failure, TOPICS.input("deduper"))


def _as_record(message: Message, offset: int) -> Record:
    return Record(message.topic, 0, offset, message.key, message.value, message.headers, 0)


@asynccontextmanager
async def _running(
    parts: wiring.Parts, clock_ms: Callable[[], int] | None = None
) -> AsyncIterator[Loop]:
    (loop,) = wiring.loops_of("dedup", parts)
    holding = loop._holding  # half a minute is long for a test
    if clock_ms is not None and holding is not None:
        holding._clock_ms = clock_ms
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        loop.stop()
        await asyncio.wait_for(task, 20)


async def _decided(stream: Any, project: str, count: int = 1) -> None:
    """Wait until so many failures of a project have their pattern."""
    for _ in range(6000):
        records = await stream.browse(TOPICS.output("deduper"), limit=MANY)
        if sum(record.header("project") == project for record in records) >= count:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"nothing of {project} was decided")
