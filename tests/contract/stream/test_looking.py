"""What both streams promise to those who look at topics, and to those who make them."""

import asyncio

from services.stream.port import Message


async def test_browse_shows_the_newest_oldest_first(installation, stream, values):
    for n in range(6):
        await stream.publish([Message(installation.topic, b"key-%d" % n, b"%d" % n)])
        await asyncio.sleep(0.003)  # the server's clock is in milliseconds
    assert values(await stream.browse(installation.topic, limit=3)) == [b"3", b"4", b"5"]
    assert len(await stream.browse(installation.topic, limit=100)) == 6
    assert list(await stream.browse(installation.topic, limit=0)) == []


async def test_browse_moves_no_group(installation, stream, drain):
    await stream.publish(installation.messages(b"1", b"2"))
    await stream.browse(installation.topic, limit=10)
    assert (await stream.lag(installation.topic, installation.group)).waiting == 2
    await drain(stream.source(installation.topic, installation.group), 2)


async def test_an_empty_topic_has_nothing_to_browse(installation, stream):
    assert list(await stream.browse(installation.topic, limit=10)) == []


async def test_read_one_finds_a_record_by_its_place(installation, stream, drain):
    await stream.publish(installation.messages(b"1", b"2", b"3"))
    records = await drain(stream.source(installation.topic, installation.group), 3)
    for record in records:
        found = await stream.read_one(installation.topic, record.partition, record.offset)
        assert found == record
    assert await stream.read_one(installation.topic, records[0].partition, 99) is None
    assert await stream.read_one(installation.topic, 77, 0) is None
    assert await stream.read_one(installation.topic, 0, -1) is None


async def test_applying_topics_twice_changes_nothing(installation):
    stream = await installation.open()
    first = await stream.apply_topics([installation.wanted()])
    assert first[installation.topic].startswith("created")
    second = await stream.apply_topics([installation.wanted()])
    assert second == {installation.topic: "as it should be"}


async def test_applying_other_settings_says_what_changed(installation, stream, drain):
    await stream.publish(installation.messages(b"stays"))
    done = await stream.apply_topics([installation.wanted(retention_ms=7_200_000)])
    assert "retention.ms 3600000 -> 7200000" in done[installation.topic]
    await drain(stream.source(installation.topic, installation.group), 1)
