"""Reading from Kafka as a member of a group: bytes, explicit offsets, in-flight work finished first."""

import asyncio
import time
from collections.abc import Iterable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from services.errors import Unavailable
from services.stream.kafka_client import KafkaAddress, close_consumer, missing_topic, within
from services.stream.port import Record

_CONNECT_SECONDS = 10.0
_COMMIT_SECONDS = 10.0  # a commit takes 7 ms; a coordinator's failover some seconds
_JOIN_SECONDS = 60.0  # without partitions for longer than any rebalance: start from scratch
_SESSION_MS = 10_000  # after so long in silence a member's partitions go to the others
_HEARTBEAT_MS = 1_000  # also how late a member hears that another one came or went
_REBALANCE_MS = 30_000
_FINISH_SECONDS = 20.0  # what is in hand may take so long to finish while a rebalance waits


class KafkaSource:
    """One member's way through a topic. The consumer is made by the first fetch, and after errors."""

    def __init__(
        self, address: KafkaAddress, topic: str, group: str, *, instance_id: str | None
    ) -> None:
        """Join nothing yet. `instance_id` makes the membership static."""
        self._address = address
        self._topic = topic
        self._group = group
        self._instance_id = instance_id
        self._consumer: AIOKafkaConsumer | None = None
        self._position = _Position()
        self._log = structlog.get_logger().bind(topic=topic, group=group)

    async def fetch(self, *, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Records of all partitions this member has, in order within each."""
        consumer = self._consumer or await self._join()
        self._consumer = consumer
        doing = f"reading {self._topic}"
        try:
            async with within(wait_seconds + _CONNECT_SECONDS, doing, self._address):
                found = await self._poll(consumer, limit, wait_seconds)
        except Unavailable:
            await self._drop()
            raise
        except ValueError as error:
            await self._drop()
            message = f"a record of {self._topic} cannot be read at all: {error}"
            raise Unavailable(message) from error
        records = [record_of(item) for items in found.values() for item in items]
        self._position.fetched(records)
        return records

    async def commit(self, records: Sequence[Record]) -> None:
        """Commit the offsets after these records, unless the partitions were lost meanwhile."""
        consumer = self._consumer
        offsets: dict[TopicPartition, int] = {}
        for record in records:
            offsets[TopicPartition(record.topic, record.partition)] = record.offset + 1
        if offsets and consumer is not None and not self._position.lost:
            try:
                async with within(_COMMIT_SECONDS, f"committing {self._topic}", self._address):
                    await _commit(consumer, offsets)
            except _LostError:
                self._log.info("partitions_lost_before_commit", partitions=len(offsets))
        self._position.finished(offsets)

    async def close(self) -> None:
        """Leave the group (a static member is expected back instead)."""
        await self._drop()

    async def _join(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._address.options(),
            group_id=self._group,
            group_instance_id=self._instance_id,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            rebalance_timeout_ms=_REBALANCE_MS,
        )
        try:
            async with within(_CONNECT_SECONDS, "connecting", self._address):
                await consumer.start()
                await self._expect_topic(consumer)
        except BaseException:
            await close_consumer(consumer)
            raise
        self._position = _Position()
        consumer.subscribe([self._topic], listener=self._position)
        return consumer

    async def _expect_topic(self, consumer: AIOKafkaConsumer) -> None:
        """Subscribing to a topic that is not there would wait for it without a word."""
        if self._topic not in await consumer.topics():
            raise missing_topic(self._topic, self._address)

    async def _poll(
        self, consumer: AIOKafkaConsumer, limit: int, wait_seconds: float
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        try:
            async with asyncio.timeout(wait_seconds + 0.05):  # a rebalance does not keep the wait
                return dict(
                    await consumer.getmany(timeout_ms=int(wait_seconds * 1000), max_records=limit)
                )
        except TimeoutError:
            if self._position.waiting_seconds() > _JOIN_SECONDS:
                message = f"Kafka at {self._address} gave {self._group} no partitions"
                raise Unavailable(message) from None
            return {}

    async def _drop(self) -> None:
        self._position.forget()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close_consumer(consumer)


class _LostError(Exception):
    """The partitions belong to another member, or to a later generation of this one."""


async def _commit(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
    try:
        await consumer.commit(offsets)
    except (CommitFailedError, IllegalStateError) as error:
        raise _LostError from error


class _Position(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """What is in flight, and whether it still belongs to this member."""

    def __init__(self) -> None:
        self.in_flight: dict[TopicPartition, int] = {}
        self.lost = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._joining_since: float | None = time.monotonic()

    def fetched(self, records: Sequence[Record]) -> None:
        if records and self.lost:  # of the new assignment: what was lost is not told of again
            self.forget()
        for record in records:
            self.in_flight.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        if records:
            self._idle.clear()

    def finished(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self.in_flight.pop(partition, None)
        if not self.in_flight:
            self.forget()

    def forget(self) -> None:
        self.in_flight = {}
        self.lost = False
        self._idle.set()

    def waiting_seconds(self) -> float:
        since = self._joining_since
        return time.monotonic() - since if since is not None else 0

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - all of them
        """Let the loop commit what it has in hand before the group goes on without it."""
        self._joining_since = time.monotonic()
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            self.lost = True

    async def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002 - the same
        self._joining_since = None


def record_of(item: "ConsumerRecord[bytes, bytes]") -> Record:
    """A record as the port has it: what is null on the wire is empty."""
    headers = tuple((name, value or b"") for name, value in item.headers)
    return Record(
        item.topic,
        item.partition,
        item.offset,
        item.key or b"",
        item.value or b"",
        headers,
        item.timestamp,
    )
