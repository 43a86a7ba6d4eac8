"""Topics are made as they should be, and a missing one says what to run."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.errors import Unavailable
from services.stream.kafka_client import KafkaAddress
from services.stream.port import Message, TopicSettings

PARTITIONS = 4

pytestmark = pytest.mark.kafka


async def test_a_missing_topic_says_what_to_run(
    open_kafka, topic, group, wanted, spread, take_turns
):
    stream = await open_kafka()
    source = stream.source(topic, group)
    with pytest.raises(Unavailable, match=rf"{topic}: run `evalratchet topics apply`"):
        await stream.publish(spread(b"early"))
    with pytest.raises(Unavailable, match=rf"{topic}: run `evalratchet topics apply`"):
        await source.fetch(limit=1, wait_seconds=0.1)
    await stream.apply_topics([wanted])
    await stream.publish(spread(b"on time"))
    ((record,),) = await take_turns([source], lambda got: got[0])
    assert record.value == b"on time"


async def test_apply_raises_partitions_and_keeps_what_others_set(
    kafka_url, open_kafka, topic, wanted
):
    address = KafkaAddress((kafka_url.removeprefix("kafka://"),))
    admin = AIOKafkaAdminClient(**address.options())
    await admin.start()
    theirs = {"segment.ms": "123456", "retention.ms": "1000"}
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=theirs)])
    stream = await open_kafka()
    done = await stream.apply_topics([wanted])
    assert "partitions 1 -> 4" in done[topic]
    assert "retention.ms 1000 -> 3600000" in done[topic]
    assert "message.timestamp.type CreateTime -> LogAppendTime" in done[topic]
    assert await stream.apply_topics([wanted]) == {topic: "as it should be"}
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert found["segment.ms"] == "123456"
    assert found["min.insync.replicas"] == "1"
    await admin.close()
    fewer = TopicSettings(topic, 2, wanted.retention_ms, wanted.max_message_bytes)
    assert "4 partitions kept" in (await stream.apply_topics([fewer]))[topic]


@pytest.mark.parametrize(("key", "murmur2"), [(b"21", -973932308), (b"foobar", -790332482)])
async def test_keys_go_where_the_java_client_sends_them(
    stream, topic, group, take_turns, key, murmur2
):
    """Other writers may share a topic. The hashes are those of Kafka's own UtilsTest."""
    await stream.publish([Message(topic, key, b"x")])
    ((record,),) = await take_turns([stream.source(topic, group)], lambda got: got[0])
    assert record.partition == (murmur2 & 0x7FFFFFFF) % PARTITIONS
