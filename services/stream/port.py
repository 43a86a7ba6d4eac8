"""The stream port: what the services need of a log, whichever log it is.

Two implementations keep these promises, `sqlite.py` (embedded) and `kafka.py`, and one contract
suite (`tests/contract/stream/`) holds both to them.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

Headers = tuple[tuple[str, bytes], ...]


class Message(msgspec.Struct, frozen=True):
    """Something to append to a topic. Messages with equal keys stay in order."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()


class Record(msgspec.Struct, frozen=True):
    """Something read from a topic. `timestamp_ms` is the server's clock, in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp_ms: int

    def header(self, name: str) -> str | None:
        """The first header of that name as text, or None. Bytes that are not UTF-8 are escaped."""
        for key, value in self.headers:
            if key == name:
                return value.decode("utf-8", "backslashreplace")
        return None


class Lag(msgspec.Struct, frozen=True):
    """How far a group has got in a topic: records ever appended, and those it has not committed.

    `oldest_ms` is the server timestamp of the oldest record still waiting, null when none waits.
    """

    total: int
    waiting: int
    oldest_ms: int | None = None


class Publisher(Protocol):
    """Appends messages."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return once every message is durable; appended in the given order for equal keys.

        Raises `services.errors.Unavailable` when the outcome is unknown (some may be there):
        publish again, readers absorb the repetition by event id.
        Raises `services.stream.size.TooLarge`, with nothing appended, for a message over the limit.
        """


class Source(Protocol):
    """Where a loop's work comes from: a group's position in a topic, or the store's due traces."""

    async def fetch(self, *, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Up to `limit` records after those fetched before, in order; empty when none came in time.

        Raises `Unavailable`.
        """

    async def commit(self, records: Sequence[Record]) -> None:
        """Remember that these records, all that the latest fetch gave, are done.

        Returns quietly when the position was lost to another worker meanwhile: the records will be
        delivered again. Raises `Unavailable`.
        """

    async def close(self) -> None:
        """Leave; what was fetched and not committed will be delivered again, to somebody."""


class Stream(Publisher, Protocol):
    """A log with topics, as the processes open it from their settings."""

    async def start(self) -> None:
        """Connect. Raises `Unavailable` when it is not there."""

    async def close(self) -> None:
        """Let go of everything; sources that are still open are closed."""

    def source(self, topic: str, group: str) -> Source:
        """A group's position in a topic. New groups start at the earliest record."""

    async def apply_topics(self, topics: Sequence["TopicSettings"]) -> Mapping[str, str]:
        """Create what is missing; return for each topic name what was done, in a few words."""

    async def lag(self, topic: str, group: str) -> Lag:
        """Where a group stands in a topic. A topic that is not there yet has a total of 0."""

    async def browse(self, topic: str, *, limit: int) -> Sequence[Record]:
        """The newest `limit` records of a topic, oldest first, without moving any group."""

    async def read_one(self, topic: str, partition: int, offset: int) -> Record | None:
        """One record by its place, or None when it is not there (any more)."""


class TopicSettings(msgspec.Struct, frozen=True):
    """A topic as it should be."""

    name: str
    partitions: int
    retention_ms: int
    max_message_bytes: int
