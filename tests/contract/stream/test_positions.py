"""What both streams promise about where a group stands."""

from services.stream.port import Message


async def test_a_group_goes_on_after_what_it_committed(installation, stream, drain, values):
    await stream.publish(installation.messages(b"1", b"2", b"3", b"4"))
    source = stream.source(installation.topic, installation.group)
    first = await drain(source, 4)
    await source.commit(first[:2])
    await source.close()
    again = stream.source(installation.topic, installation.group)
    assert values(await drain(again, 2)) == [b"3", b"4"]


async def test_what_was_not_committed_comes_again_after_a_restart(
    installation, stream, drain, values
):
    await stream.publish(installation.messages(b"1", b"2"))
    await drain(stream.source(installation.topic, installation.group), 2)
    await stream.close()  # with its sources
    later = await installation.open()
    source = later.source(installation.topic, installation.group)
    assert values(await drain(source, 2)) == [b"1", b"2"]


async def test_fetches_go_on_without_commits(installation, stream, values):
    await stream.publish(installation.messages(b"1", b"2", b"3"))
    source = stream.source(installation.topic, installation.group)
    fetched = []
    while len(fetched) < 3:
        fetched += await source.fetch(limit=1, wait_seconds=5)
    assert values(fetched) == [b"1", b"2", b"3"]
    await source.commit(fetched[-1:])
    assert (await stream.lag(installation.topic, installation.group)).waiting == 0


async def test_groups_do_not_know_of_each_other(installation, stream, drain, values):
    await stream.publish(installation.messages(b"1", b"2"))
    one = stream.source(installation.topic, installation.group)
    await one.commit(await drain(one, 2))
    other = stream.source(installation.topic, installation.group + "2")
    assert values(await drain(other, 2)) == [b"1", b"2"]


async def test_committing_nothing_and_committing_twice_are_fine(installation, stream, drain):
    await stream.publish(installation.messages(b"1"))
    source = stream.source(installation.topic, installation.group)
    await source.commit([])
    records = await drain(source, 1)
    await source.commit(records)
    await source.commit(records)
    assert (await stream.lag(installation.topic, installation.group)).waiting == 0


async def test_lag_counts_what_a_group_has_not_committed(installation, stream, drain):
    lag = await stream.lag(installation.topic, installation.group)
    assert (lag.total, lag.waiting, lag.oldest_ms) == (0, 0, None)
    keys = [b"key-%d" % n for n in range(20)]
    await stream.publish([Message(installation.topic, key, key) for key in keys])
    source = stream.source(installation.topic, installation.group)
    records = await drain(source, 20)
    lag = await stream.lag(installation.topic, installation.group)
    assert (lag.total, lag.waiting) == (20, 20)
    assert lag.oldest_ms == min(record.timestamp_ms for record in records)
    await source.commit(records)
    lag = await stream.lag(installation.topic, installation.group)
    assert (lag.total, lag.waiting, lag.oldest_ms) == (20, 0, None)


async def test_a_group_that_never_committed_waits_for_everything(installation, stream):
    await stream.publish(installation.messages(b"1", b"2", b"3"))
    assert (await stream.lag(installation.topic, "nobody")).waiting == 3


async def test_a_missing_topic_has_no_lag_and_no_records(installation, stream):
    missing = installation.topic + "-missing"
    lag = await stream.lag(missing, installation.group)
    assert (lag.total, lag.waiting, lag.oldest_ms) == (0, 0, None)
    assert list(await stream.browse(missing, limit=10)) == []
    assert await stream.read_one(missing, 0, 0) is None
