"""Members of a group share its partitions, and hand them over in order."""

import asyncio

import pytest

from services.stream import kafka_source

PARTITIONS = 4

pytestmark = pytest.mark.kafka


async def test_two_members_share_the_partitions_and_one_inherits_them(
    stream, topic, group, spread, take_turns
):
    one, other = stream.source(topic, group), stream.source(topic, group)
    for _ in range(40):
        await stream.publish(spread(*[b"shared"] * 16))
        got = await take_turns([one, other], lambda got: sum(map(len, got)) >= 16)
        owned = [{record.partition for record in records} for records in got]
        if [len(partitions) for partitions in owned] == [2, 2]:
            break
    assert owned[0] | owned[1] == set(range(PARTITIONS))
    await other.close()
    await stream.publish(spread(*[b"inherited"] * 16))
    (rest,) = await take_turns([one], lambda got: len(got[0]) >= 16)
    assert {record.partition for record in rest} == set(range(PARTITIONS))
    assert (await stream.lag(topic, group)).waiting == 0


async def test_a_member_finishes_its_batch_before_the_group_goes_on(stream, topic, group, spread):
    """What is committed while a rebalance waits is not delivered to anybody else."""
    await stream.publish(spread(*(b"%d" % n for n in range(16))))
    one, other = stream.source(topic, group), stream.source(topic, group)
    in_hand = []
    while len(in_hand) < 16:
        in_hand += await one.fetch(limit=50, wait_seconds=0.2)
    joining = asyncio.create_task(other.fetch(limit=50, wait_seconds=4))
    await asyncio.sleep(1.5)  # the first member has heard of the second by now
    await one.commit(in_hand)
    both = asyncio.gather(joining, one.fetch(limit=50, wait_seconds=2))
    assert await both == [[], []]


async def test_a_commit_after_the_partitions_were_lost_is_quiet(
    stream, topic, group, monkeypatch, spread, take_turns
):
    """The records come again, to whoever has the partitions now."""
    monkeypatch.setattr(kafka_source, "_FINISH_SECONDS", 0.1)
    await stream.publish(spread(*(b"%d" % n for n in range(16))))
    slow, other = stream.source(topic, group), stream.source(topic, group)
    in_hand = []
    while len(in_hand) < 16:
        in_hand += await slow.fetch(limit=50, wait_seconds=0.2)
    again = []
    while not again:  # until the group no longer waits for the slow one
        again = await other.fetch(limit=50, wait_seconds=0.2)
    await slow.commit(in_hand)
    assert (await stream.lag(topic, group)).waiting == 16
    await other.commit(again)
    expected = {record.value for record in in_hand} - {record.value for record in again}
    await take_turns([slow, other], lambda got: {r.value for r in got[0] + got[1]} >= expected)
    assert (await stream.lag(topic, group)).waiting == 0


async def test_a_replica_with_a_name_comes_back_to_its_partitions(
    open_kafka, wanted, group, spread, take_turns
):
    """Static membership: its restart does not make the others stop."""
    replica = await open_kafka(instance_id="pod-0")
    await replica.apply_topics([wanted])
    await replica.publish(spread(b"1", b"2"))
    source = replica.source(wanted.name, group)
    await take_turns([source], lambda got: len(got[0]) == 2)
    await replica.close()
    replica = await open_kafka(instance_id="pod-0")
    await replica.publish(spread(b"3", b"4"))
    (records,) = await take_turns(
        [replica.source(wanted.name, group)], lambda got: len(got[0]) >= 2
    )
    assert [r.value for r in sorted(records, key=lambda r: r.value)] == [b"3", b"4"]
