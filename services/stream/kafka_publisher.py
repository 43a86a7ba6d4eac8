"""Appending to Kafka: one idempotent producer, rebuilt whenever it can no longer be trusted."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer

from services.errors import Unavailable
from services.stream.kafka_client import (
    KafkaAddress,
    abandon_producer,
    close_producer,
    missing_topic,
    within,
)
from services.stream.port import Message
from services.stream.size import HEADROOM_BYTES, refuse_too_large

_CONNECT_SECONDS = 10.0
_TOPIC_SECONDS = 2.0  # a topic made just now is known to every broker within milliseconds
_PUBLISH_SECONDS = 10.0  # a broker's failover took 6.1 s at worst in 32,000 messages
_BATCH_BYTES = 256 * 1024  # the default of 16 kB holds six traces
_LINGER_MS = 5  # what concurrent requests send within this goes as one batch
_MOST_PAUSE_SECONDS = 5.0


class KafkaPublisher:
    """Publishes with `acks=all`. After any failure the outcome is unknown and the producer replaced.

    A rejected or timed out batch leaves a gap in an idempotent producer's sequence, after which
    the broker refuses everything else it sends; so none is ever used again after its first error.
    """

    def __init__(self, address: KafkaAddress, max_message_bytes: int) -> None:
        """Connect to nothing yet."""
        self._address = address
        self._max_message_bytes = max_message_bytes
        self._producer: AIOKafkaProducer | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._log = structlog.get_logger().bind(kafka=str(address))

    async def start(self) -> None:
        """Connect. Raises `Unavailable`."""
        self._producer = await self._connect()

    async def close(self) -> None:
        """Flush what is under way, within seconds, and disconnect."""
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.wait([self._rebuilding])
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Await the delivery of every message. Raises `Unavailable`, `TooLarge`."""
        if not messages:
            return
        refuse_too_large(messages, self._max_message_bytes)
        producer = self._producer
        if producer is None:
            text = f"Kafka at {self._address} is away, or the stream closed: reconnecting"
            raise Unavailable(text)
        for topic in {message.topic for message in messages}:
            await self._expect_topic(producer, topic)
        try:
            async with within(_PUBLISH_SECONDS, "publishing", self._address):
                await _deliver(producer, messages)
        except Unavailable as error:
            self._replace(producer, str(error))
            raise

    async def _expect_topic(self, producer: AIOKafkaProducer, topic: str) -> None:
        if producer.client.cluster.partitions_for_topic(topic):
            return
        try:
            async with within(_TOPIC_SECONDS, f"looking for the topic {topic}", self._address):
                await producer.partitions_for(topic)
        except Unavailable as error:
            raise missing_topic(topic, self._address) from error

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._address.options(),
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=_BATCH_BYTES,
            max_request_size=self._max_message_bytes + HEADROOM_BYTES,
            linger_ms=_LINGER_MS,
            request_timeout_ms=int(_PUBLISH_SECONDS * 1000),
        )
        try:
            async with within(_CONNECT_SECONDS, "connecting", self._address):
                await producer.start()
        except BaseException:
            await abandon_producer(producer)
            raise
        return producer

    def _replace(self, producer: AIOKafkaProducer, why: str) -> None:
        if self._producer is producer:
            self._producer = None
            self._log.warning("producer_replaced", why=why)
            self._rebuilding = asyncio.create_task(self._rebuild(producer))

    async def _rebuild(self, old: AIOKafkaProducer) -> None:
        try:
            await abandon_producer(old)
        except Exception as error:  # noqa: BLE001 - it reaches into aiokafka; a new one is what counts
            self._log.warning("producer_not_closed", why=repr(error))
        pause = 0.1
        while True:
            try:
                self._producer = await self._connect()
            except Exception as error:  # noqa: BLE001 - without one nothing is ever published again
                self._log.warning("producer_not_ready", why=str(error) or repr(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MOST_PAUSE_SECONDS)
            else:
                self._log.info("producer_ready_again")
                return


async def _deliver(producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
    deliveries: list[asyncio.Future[object]] = []
    try:
        for message in messages:
            delivery = await producer.send(
                message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
            )
            deliveries.append(delivery)
        await asyncio.gather(*deliveries)
    finally:
        for delivery in deliveries:  # nobody waits for them any more; the batches go on
            delivery.cancel()
