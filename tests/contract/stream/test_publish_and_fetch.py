"""What both streams promise about records on their way from a publisher to a group."""

import asyncio
import os
import time

import pytest

from services.errors import Unavailable
from services.stream.port import Message
from services.stream.size import HEADROOM_BYTES, TooLarge


async def test_a_record_is_what_was_published(installation, stream, drain):
    message = Message(
        installation.topic,
        "airline/träce".encode(),
        b"\x00\xff not text",
        (("schema", b"trace/1"), ("größe", b"\xff\x00"), ("schema", b"again"), ("empty", b"")),
    )
    before_ms = time.time_ns() // 1_000_000
    await stream.publish([message])
    (record,) = await drain(stream.source(installation.topic, installation.group), 1)
    assert (record.topic, record.key, record.value) == (message.topic, message.key, message.value)
    assert record.headers == message.headers
    assert record.header("schema") == "trace/1"
    assert before_ms - 1000 <= record.timestamp_ms <= time.time_ns() // 1_000_000 + 1000


async def test_empty_bytes_stay_empty_bytes(installation, stream, drain):
    await stream.publish([Message(installation.topic, b"", b"")])
    (record,) = await drain(stream.source(installation.topic, installation.group), 1)
    assert (record.key, record.value, record.headers) == (b"", b"", ())


async def test_equal_keys_keep_their_order_and_offsets_rise(installation, stream, drain):
    sent = [Message(installation.topic, b"key-%d" % (n % 7), b"%d" % n) for n in range(210)]
    await stream.publish(sent[:100])
    await stream.publish(sent[100:])
    records = await drain(stream.source(installation.topic, installation.group), 210, limit=50)
    for key in {message.key for message in sent}:
        assert [r.value for r in records if r.key == key] == [m.value for m in sent if m.key == key]
    for partition in {record.partition for record in records}:
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_a_fetch_gives_at_most_its_limit(installation, stream):
    await stream.publish(installation.messages(*(b"%d" % n for n in range(30))))
    source = stream.source(installation.topic, installation.group)
    sizes = []
    while sum(sizes) < 30:
        sizes.append(len(await source.fetch(limit=7, wait_seconds=5)))
    assert max(sizes) == 7


async def test_nothing_comes_from_an_empty_topic_within_the_wait(installation, stream):
    source = stream.source(installation.topic, installation.group)
    assert not await source.fetch(limit=10, wait_seconds=0)
    started = time.monotonic()
    assert not await source.fetch(limit=10, wait_seconds=0.3)
    assert 0.2 < time.monotonic() - started < 20


async def test_a_waiting_fetch_wakes_when_something_is_published(installation, stream):
    source = stream.source(installation.topic, installation.group)
    while await source.fetch(limit=1, wait_seconds=0.6):
        pass  # a member of a Kafka group has its partitions by now
    waiting = asyncio.create_task(source.fetch(limit=10, wait_seconds=60))
    await asyncio.sleep(0.1)
    published = time.monotonic()
    await stream.publish(installation.messages(b"at last"))
    (record,) = await waiting
    assert record.value == b"at last"
    assert time.monotonic() - published < 30


async def test_what_another_connection_publishes_arrives_too(installation, stream, drain):
    source = stream.source(installation.topic, installation.group)
    await source.fetch(limit=10, wait_seconds=0.1)
    other = await installation.open()
    await other.publish(installation.messages(b"from elsewhere"))
    assert [record.value for record in await drain(source, 1)] == [b"from elsewhere"]


async def test_concurrent_publishers_lose_nothing(installation, stream, drain):
    other = await installation.open()
    sent = [b"%d" % n for n in range(200)]
    await asyncio.gather(
        *(
            (stream if n % 2 else other).publish(
                [Message(installation.topic, value, value), Message(installation.topic, value, b"")]
            )
            for n, value in enumerate(sent)
        )
    )
    records = await drain(stream.source(installation.topic, installation.group), 400)
    assert sorted(r.value for r in records if r.value) == sorted(sent)


async def test_publishing_nothing_is_done_at_once(stream):
    await stream.publish([])


async def test_the_largest_message_passes(installation, stream, drain):
    """Random bytes, a full header allowance: nothing that compression could make smaller."""
    value = os.urandom(installation.max_message_bytes)
    headers = (("noise", os.urandom(HEADROOM_BYTES // 2 - 100)),)
    await stream.publish([Message(installation.topic, b"key", value, headers)])
    (record,) = await drain(stream.source(installation.topic, installation.group), 1)
    assert record.value == value


@pytest.mark.parametrize("beside", [False, True])
async def test_a_larger_one_is_refused_by_name_and_takes_the_call_along(
    installation, stream, drain, beside
):
    """`Unavailable` would be retried for ever."""
    large = (
        Message(installation.topic, b"key", b"", (("noise", bytes(HEADROOM_BYTES)),))
        if beside
        else Message(installation.topic, b"key", bytes(installation.max_message_bytes + 1))
    )
    with pytest.raises(TooLarge, match=f"{installation.topic}.*the limit is"):
        await stream.publish([*installation.messages(b"not this"), large])
    await stream.publish(installation.messages(b"but this"))
    source = stream.source(installation.topic, installation.group)
    assert [record.value for record in await drain(source, 1)] == [b"but this"]


async def test_a_closed_stream_says_that_it_is_unavailable(installation, stream):
    source = stream.source(installation.topic, installation.group)
    await source.fetch(limit=1, wait_seconds=0)
    await stream.close()
    await stream.close()
    with pytest.raises(Unavailable):
        await stream.publish(installation.messages(b"late"))
