"""Where Kafka is, how long to wait for it, and what its errors mean here."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.helpers import create_ssl_context

from services.errors import Unavailable
from services.settings import SettingsError

_PARAMETERS = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "ssl_cafile",
)
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_CLOSE_SECONDS = 5.0  # to flush, or to leave a group; a broker that is there needs milliseconds
_QUIET_SECONDS = 10.0  # a client repeats itself ten times a second while a broker is away


class KafkaAddress(msgspec.Struct, frozen=True):
    """A cluster's bootstrap servers and how to get in."""

    servers: tuple[str, ...]
    security: dict[str, str] = {}

    def __str__(self) -> str:
        """The servers as a message names them; never the password."""
        return ",".join(self.servers)

    def options(self) -> dict[str, Any]:
        """Arguments of every aiokafka client."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": "evalratchet",
            **self.security,
        }
        cafile = options.pop("ssl_cafile", None)
        if str(options.get("security_protocol", "")).endswith("SSL"):
            options["ssl_context"] = create_ssl_context(cafile=cafile)
        return options


def parse_address(url: str) -> KafkaAddress:
    """Read kafka://HOST:PORT[,HOST:PORT...][?security_protocol=...&sasl_mechanism=...].

    Raises:
        SettingsError: a parameter or a port that is none; the message says what is allowed.
    """
    parts = urlsplit(url)
    servers = tuple(server for server in parts.netloc.rpartition("@")[2].split(",") if server)
    for server in servers:
        if not server.rpartition(":")[2].isdigit():
            message = f"EVALRATCHET_STREAM: {server!r} must be HOST:PORT"
            raise SettingsError(message)
    security = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(security) - set(_PARAMETERS))
    protocol = security.get("security_protocol", "PLAINTEXT")
    if not servers or unknown or protocol not in _PROTOCOLS or "@" in parts.netloc:
        message = (
            "EVALRATCHET_STREAM must be kafka://HOST:PORT[,HOST:PORT...] with optional parameters "
            f"{', '.join(_PARAMETERS)} (security_protocol one of {', '.join(_PROTOCOLS)})"
            + (f"; it has {', '.join(unknown)}" if unknown else "")
        )
        raise SettingsError(message)
    return KafkaAddress(servers, security)


@asynccontextmanager
async def within(seconds: float, doing: str, address: KafkaAddress) -> AsyncIterator[None]:
    """Bound what is awaited inside, and turn everything Kafka can answer into `Unavailable`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        message = f"Kafka at {address} did not answer within {seconds:g} s while {doing}"
        raise Unavailable(message) from error
    except (KafkaError, ConsumerStoppedError, OSError) as error:
        message = f"Kafka at {address} failed while {doing}: {error or type(error).__name__}"
        raise Unavailable(message) from error


def missing_topic(topic: str, address: KafkaAddress) -> Unavailable:
    """What to say when a topic is not there."""
    return Unavailable(f"Kafka at {address} has no topic {topic}: run `evalratchet topics apply`")


async def close_producer(producer: AIOKafkaProducer) -> None:
    """Flush and close; give up on what a broker that is away does not take."""
    if not await _ends_well(producer.stop()):
        await abandon_producer(producer)


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """Close without flushing: whoever still waits for a delivery is told that it failed.

    aiokafka has no such thing: its `stop` waits for ever while brokers are away.
    """
    producer._closed = True  # noqa: SLF001 - what `stop` does first
    sender = producer._sender.sender_task  # noqa: SLF001 - what `stop` waits for
    if sender is not None:
        sender.cancel()
    await _ends_well(producer.client.close())
    if sender is not None:
        await asyncio.wait([sender], timeout=_CLOSE_SECONDS)
    _fail_deliveries(producer._message_accumulator)  # noqa: SLF001 - what waits to be sent


def _fail_deliveries(accumulator: Any) -> None:
    """Tell everybody who waits. aiokafka's own `fail_all` trips over batches that wait for a retry."""
    gone = KafkaError("the producer was given up")
    accumulator._exception = gone  # noqa: SLF001 - refuses what comes later
    batches = {batch for queue in accumulator._batches.values() for batch in queue}  # noqa: SLF001
    accumulator._pending_batches.update(batches)  # noqa: SLF001 - where their callbacks look
    for batch in list(accumulator._pending_batches):  # noqa: SLF001 - the same
        for delivery, _ in batch._msg_futures:  # noqa: SLF001 - what `send` gave
            if not delivery.done():
                delivery.set_exception(gone)
        batch.future.cancel()


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close; without the farewell when the coordinator is away."""
    if await _ends_well(consumer.stop()):
        return
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001 - `stop` left off
    if coordinator is not None:
        await _ends_well(coordinator._stop_heartbeat_task())  # noqa: SLF001
        await _ends_well(coordinator._stop_commit_offsets_refresh_task())  # noqa: SLF001
    if fetcher is not None:
        await _ends_well(fetcher.close())
    await _ends_well(consumer._client.close())  # noqa: SLF001


async def _ends_well(closing: Coroutine[Any, Any, None]) -> bool:
    """Whether this ends within seconds and without an error.

    In a task of its own: aiokafka lets the cancellation of its inner tasks out, as if we were meant.
    """
    task = asyncio.create_task(closing)
    await asyncio.wait([task], timeout=_CLOSE_SECONDS)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CLOSE_SECONDS)
    return task.done() and not task.cancelled() and task.exception() is None


class _SayItOnce(logging.Filter):
    """Lets a message through once in a while, and says then how often it was held back."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        what, now = str(record.msg), time.monotonic()
        if now - self._last.get(what, -_QUIET_SECONDS) < _QUIET_SECONDS:
            self._held[what] = self._held.get(what, 0) + 1
            return False
        self._last[what] = now
        if held := self._held.pop(what, 0):
            record.msg = f"{what} (and {held} more like it)"
        return True


def calm_logs() -> None:
    """Limit how often aiokafka repeats itself. Doing it twice changes nothing."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("aiokafka")]
    for name in names:
        logger = logging.getLogger(name)  # noqa: TID251 - aiokafka's own, to be limited
        if not any(isinstance(known, _SayItOnce) for known in logger.filters):
            logger.addFilter(_SayItOnce())
