"""Making the cluster's topics as they should be, and saying what was done."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from services.stream.kafka_client import KafkaAddress, within
from services.stream.port import TopicSettings
from services.stream.size import HEADROOM_BYTES

_CONNECT_SECONDS = 10.0
_APPLY_SECONDS = 60.0  # nine topics of 64 partitions take about 2 s
_MOST_REPLICAS = 3
_SET_ON_TOPIC = 1  # the protocol's number for "this value was set on the topic itself"


@asynccontextmanager
async def admin_client(address: KafkaAddress) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises `Unavailable`."""
    client = AIOKafkaAdminClient(**address.options(), request_timeout_ms=30_000)
    try:
        async with within(_CONNECT_SECONDS, "connecting", address):
            await client.start()
        yield client
    finally:
        await client.close()


class Existing(NamedTuple):
    """A topic as it is: its partitions, and how many replicas they have."""

    partitions: Sequence[int]
    replicas: int


async def existing(admin: AIOKafkaAdminClient) -> Mapping[str, Existing]:
    """All topics by name. Asking for one that is missing would create it on some clusters."""
    return {
        topic["topic"]: Existing(
            [partition["partition"] for partition in topic["partitions"]],
            min((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
        )
        for topic in await admin.describe_topics()
    }


async def apply_topics(address: KafkaAddress, topics: Sequence[TopicSettings]) -> Mapping[str, str]:
    """Create what is missing, raise partitions, alter settings that differ. Raises `Unavailable`."""
    async with (
        admin_client(address) as admin,
        within(_APPLY_SECONDS, "applying topics", address),
    ):
        brokers = len((await admin.describe_cluster())["brokers"])
        there = await existing(admin)
        done: dict[str, str] = {}
        for wanted in topics:
            if wanted.name in there:
                done[wanted.name] = await _adjust(admin, wanted, there[wanted.name])
            else:
                done[wanted.name] = await _create(admin, wanted, min(_MOST_REPLICAS, brokers))
        return done


async def _create(admin: AIOKafkaAdminClient, wanted: TopicSettings, replicas: int) -> str:
    topic = NewTopic(
        wanted.name, wanted.partitions, replicas, topic_configs=_configuration(wanted, replicas)
    )
    response = await admin.create_topics([topic])
    ((_, code, message, *_),) = response.topic_errors
    _check(code, message)
    return f"created: {wanted.partitions} partitions, replication {replicas}"


async def _adjust(admin: AIOKafkaAdminClient, wanted: TopicSettings, found: Existing) -> str:
    partitions, replicas = len(found.partitions), found.replicas
    changes = []
    if partitions < wanted.partitions:
        await admin.create_partitions({wanted.name: NewPartitions(wanted.partitions)})
        changes.append(
            f"partitions {partitions} -> {wanted.partitions} (a trace's events are out of order "
            "across this moment)"
        )
    elif partitions > wanted.partitions:
        changes.append(f"{partitions} partitions kept, Kafka cannot have fewer again")
    changes += await _configure(admin, wanted.name, _configuration(wanted, replicas))
    return "; ".join(changes) or "as it should be"


async def _configure(
    admin: AIOKafkaAdminClient, topic: str, wanted: Mapping[str, str]
) -> list[str]:
    """Set what differs. The request replaces all of a topic's settings, so others' go along."""
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((code, message, _, _, entries),) = answer.resources
    _check(code, message)
    found: dict[str, Any] = {entry[0]: entry[1] for entry in entries}
    own = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC}
    different = {name: value for name, value in wanted.items() if found.get(name) != value}
    if different:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={**own, **wanted})
        for response in await admin.alter_configs([resource]):
            for code, message, *_ in response.resources:
                _check(code, message)
    return [f"{name} {found.get(name)} -> {value}" for name, value in different.items()]


def _configuration(wanted: TopicSettings, replicas: int) -> dict[str, str]:
    return {
        "retention.ms": str(wanted.retention_ms),
        "max.message.bytes": str(wanted.max_message_bytes + HEADROOM_BYTES),
        # With three replicas one may be away and every acknowledged record is still on two.
        "min.insync.replicas": "2" if replicas >= _MOST_REPLICAS else "1",
        # The brokers' clock: a producer's may be wrong, and retention and lag are reckoned by it.
        "message.timestamp.type": "LogAppendTime",
    }


def _check(code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(message or "")
