"""The stream on Kafka. What the methods promise is said in the port."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from services.stream import kafka_reader as reader
from services.stream.kafka_client import KafkaAddress, calm_logs
from services.stream.kafka_publisher import KafkaPublisher
from services.stream.kafka_source import KafkaSource
from services.stream.kafka_topics import apply_topics
from services.stream.port import Lag, Message, Record, Source, TopicSettings


class KafkaStream:
    """Topics of a Kafka cluster."""

    def __init__(
        self, address: KafkaAddress, *, max_message_bytes: int, instance_id: str | None = None
    ) -> None:
        """Connect to nothing yet. `instance_id` is this replica's name across restarts."""
        self._address = address
        self._instance_id = instance_id
        self._publisher = KafkaPublisher(address, max_message_bytes)
        self._sources: list[KafkaSource] = []

    async def start(self) -> None:
        """Connect. Raises `Unavailable`."""
        calm_logs()
        await self._publisher.start()

    async def close(self) -> None:
        """Close every source, then the producer; none waits for brokers that are away."""
        await asyncio.gather(*(source.close() for source in self._sources))
        await self._publisher.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append with `acks=all`."""
        await self._publisher.publish(messages)

    def source(self, topic: str, group: str) -> Source:
        """A member of a group; a static one where this replica has a name."""
        stage = group.rpartition(".")[2]
        member = f"{self._instance_id}.{stage}" if self._instance_id else None
        source = KafkaSource(self._address, topic, group, instance_id=member)
        self._sources.append(source)
        return source

    async def apply_topics(self, topics: Sequence[TopicSettings]) -> Mapping[str, str]:
        """Create what is missing, change what differs."""
        return await apply_topics(self._address, topics)

    async def lag(self, topic: str, group: str) -> Lag:
        """Where a group stands."""
        return await reader.lag(self._address, topic, group)

    async def browse(self, topic: str, *, limit: int) -> Sequence[Record]:
        """The newest records, oldest first."""
        return await reader.browse(self._address, topic, limit)

    async def read_one(self, topic: str, partition: int, offset: int) -> Record | None:
        """One record by its place."""
        return await reader.read_one(self._address, TopicPartition(topic, partition), offset)
