"""One installation of a stream, on each of its two implementations."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.settings import Settings
from services.stream.open import open_stream
from services.stream.port import Message, Record, Source, Stream, TopicSettings

LARGEST_TRACE_BYTES = 64 * 1024


class Installation:
    """A stream's settings, and every connection to it that a test opens, closed after the test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = settings.topic_prefix + "work"
        self.group = settings.topic_prefix + "evalratchet.worker"
        self.max_message_bytes = 2 * LARGEST_TRACE_BYTES + 64 * 1024
        self._opened: list[Stream] = []

    async def open(self, **changes: Any) -> Stream:
        """Another connection, as another process would have it."""
        stream = open_stream(self.settings.model_copy(update=changes))
        self._opened.append(stream)
        await stream.start()
        return stream

    def wanted(self, *, partitions: int = 4, retention_ms: int = 3_600_000) -> TopicSettings:
        return TopicSettings(self.topic, partitions, retention_ms, self.max_message_bytes)

    def messages(self, *values: bytes, key: bytes = b"key") -> list[Message]:
        return [Message(self.topic, key, value) for value in values]

    async def close(self) -> None:
        for stream in self._opened:
            await stream.close()


@pytest.fixture
def settings_of(tmp_path: Path, topic_prefix: str) -> Callable[..., Settings]:
    def build(**changes: Any) -> Settings:
        given = {"home": tmp_path, "topic_prefix": topic_prefix, **changes}
        return Settings(max_trace_bytes=LARGEST_TRACE_BYTES, topic_partitions=4, **given)

    return build


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
async def installation(
    request: pytest.FixtureRequest, settings_of: Callable[..., Settings]
) -> AsyncIterator[Installation]:
    """An installation without topics."""
    stream = request.getfixturevalue("kafka_url") if request.param == "kafka" else "sqlite"
    installation = Installation(settings_of(stream=stream))
    yield installation
    await installation.close()


@pytest.fixture
async def stream(installation: Installation) -> Stream:
    """An open stream with one topic of four partitions (of one, on SQLite)."""
    stream = await installation.open()
    await stream.apply_topics([installation.wanted()])
    return stream


@pytest.fixture
def drain() -> Callable[..., Awaitable[list[Record]]]:
    """Fetch until so many records came, without committing; fail after a while."""

    async def drain(source: Source, count: int, *, limit: int = 100) -> list[Record]:
        records: list[Record] = []
        for _ in range(200):
            records += await source.fetch(limit=limit, wait_seconds=0.1)
            if len(records) >= count:
                break
        assert len(records) == count, f"{len(records)} records came, not {count}"
        return records

    return drain


@pytest.fixture
def values() -> Callable[[Sequence[Record]], list[bytes]]:
    return lambda records: [record.value for record in records]
