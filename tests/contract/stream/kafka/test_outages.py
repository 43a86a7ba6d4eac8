"""Brokers are killed, hang and go away: nothing acknowledged is lost, nothing waits for ever."""

import asyncio
import logging
import signal
import time

import pytest

from services.errors import Unavailable
from services.stream import kafka_client, kafka_publisher
from services.stream.kafka_client import calm_logs

pytestmark = pytest.mark.kafka


async def test_a_cluster_that_is_not_there_is_unavailable(open_kafka):
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1 "):
        await open_kafka("kafka://127.0.0.1:1")
    assert time.monotonic() - started < 5


async def test_no_acknowledged_message_is_lost_when_the_broker_is_killed(
    breakable, open_kafka, wanted, topic, group, spread, take_turns
):
    stream = await open_kafka(breakable.url)
    await stream.apply_topics([wanted])
    acknowledged, stop = set(), asyncio.Event()

    async def publish(worker):
        number = 0
        while not stop.is_set():
            value = b"%d-%d" % (worker, number)
            try:
                await stream.publish(spread(value))
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                acknowledged.add(value)
                number += 1

    publishers = [asyncio.create_task(publish(n)) for n in range(10)]
    async with asyncio.timeout(60):
        while len(acknowledged) < 50:  # noqa: ASYNC110 - ten tasks add to it
            await asyncio.sleep(0.01)
    await asyncio.to_thread(breakable.kill, 1)
    before = len(acknowledged)
    await asyncio.to_thread(breakable.start)
    for _ in range(300):
        if len(acknowledged) > before + 100:
            break
        await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*publishers)
    assert len(acknowledged) > before + 100, "publishing goes on after the restart"
    source = stream.source(topic, group)
    await take_turns([source], lambda got: {r.value for r in got[0]} >= acknowledged, seconds=30)


async def test_a_broker_that_hangs_is_unavailable_until_it_answers(
    breakable, open_kafka, wanted, topic, monkeypatch, spread, take_turns
):
    """The producer is replaced; meanwhile publishing fails at once instead of piling up."""
    stream = await open_kafka(breakable.url)
    await stream.apply_topics([wanted])
    await stream.publish(spread(b"before"))
    for name in ("_PUBLISH_SECONDS", "_CONNECT_SECONDS"):
        monkeypatch.setattr(kafka_publisher, name, 0.5)
    monkeypatch.setattr(kafka_client, "_CLOSE_SECONDS", 0.5)
    breakable.signal(1, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="did not answer within"):
        await stream.publish(spread(b"unknown"))
    with pytest.raises(Unavailable, match="reconnecting"):  # nobody was asked
        await stream.publish(spread(b"refused"))
    breakable.signal(1, signal.SIGCONT)
    for name in ("_PUBLISH_SECONDS", "_CONNECT_SECONDS"):
        monkeypatch.setattr(kafka_publisher, name, 10)
    await until_published(stream, spread(b"after"))
    source = stream.source(topic, topic)
    (records,) = await take_turns(
        [source], lambda got: b"after" in {record.value for record in got[0]}
    )
    assert {b"before", b"after"} <= {record.value for record in records}
    assert b"refused" not in {record.value for record in records}


async def until_published(stream, messages):
    for _ in range(100):
        try:
            await stream.publish(messages)
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            return
    pytest.fail("publishing never worked again")


async def test_closing_does_not_wait_for_a_broker_that_is_gone(
    breakable, open_kafka, wanted, topic, group, monkeypatch, spread
):
    monkeypatch.setattr(kafka_client, "_CLOSE_SECONDS", 0.5)
    stream = await open_kafka(breakable.url)
    await stream.apply_topics([wanted])
    await stream.publish(spread(b"1"))
    source = stream.source(topic, group)
    while not await source.fetch(limit=1, wait_seconds=0.2):
        pass
    await asyncio.to_thread(breakable.kill, 1)
    pending = asyncio.create_task(stream.publish(spread(b"2")))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        await stream.close()
    with pytest.raises(Unavailable):
        await pending


async def test_after_an_error_the_consumer_is_made_anew(stream, topic, group, spread, take_turns):
    await stream.publish(spread(b"1", b"2", b"3"))
    source = stream.source(topic, group)
    await take_turns([source], lambda got: len(got[0]) == 3)
    await stream.publish(spread(b"4"))
    broken = source._consumer
    broken._coordinator._pending_exception = kafka_client.KafkaError("the group is gone")
    with pytest.raises(Unavailable, match="the group is gone"):
        await source.fetch(limit=1, wait_seconds=0.1)
    ((record,),) = await take_turns([source], lambda got: got[0])
    assert record.value == b"4"
    assert source._consumer is not broken


def test_the_client_says_the_same_thing_once_in_a_while(caplog):
    calm_logs()
    calm_logs()
    chatty = logging.getLogger("aiokafka.conn")  # noqa: TID251 - as aiokafka does
    with caplog.at_level("WARNING"):
        for attempt in range(50):
            chatty.warning("cannot connect, attempt %d", attempt)
        chatty.warning("something else")
    assert [record.getMessage() for record in caplog.records] == [
        "cannot connect, attempt 0",
        "something else",
    ]
