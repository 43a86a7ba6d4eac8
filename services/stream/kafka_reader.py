"""Looking at topics without moving any group: lag, the newest records, one record."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.stream.kafka_client import KafkaAddress, close_consumer, within
from services.stream.kafka_source import record_of
from services.stream.kafka_topics import admin_client, existing
from services.stream.port import Lag, Record

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 15.0
_POLL_MS = 200
_RETRY_SECONDS = 0.1

_Offsets = dict[TopicPartition, int]


async def lag(address: KafkaAddress, topic: str, group: str) -> Lag:
    """End offsets less what the group has committed. Raises `Unavailable`."""
    async with _reader(address) as reader, admin_client(address) as admin:
        first, end = await _extent(reader, admin, address, topic)
        committed = await _committed(admin, address, group, list(end))
        start = {tp: max(committed.get(tp, 0), first[tp]) for tp in end}
        behind = {tp: offset for tp, offset in start.items() if offset < end[tp]}
        oldest = await _first_records(reader, address, behind)
        return Lag(
            total=sum(end.values()),
            waiting=sum(end[tp] - offset for tp, offset in behind.items()),
            oldest_ms=min((record.timestamp_ms for record in oldest), default=None),
        )


async def browse(address: KafkaAddress, topic: str, limit: int) -> Sequence[Record]:
    """The newest records by the brokers' clock, oldest first. Raises `Unavailable`."""
    async with _reader(address) as reader, admin_client(address) as admin:
        first, end = await _extent(reader, admin, address, topic)
        start = {tp: max(first[tp], end[tp] - limit) for tp in end if first[tp] < end[tp]}
        async with within(_READ_SECONDS, f"reading {topic}", address):
            records = await _read(reader, start, end)
    records.sort(key=lambda record: (record.timestamp_ms, record.partition, record.offset))
    return records[-limit:] if limit > 0 else []


async def read_one(address: KafkaAddress, place: TopicPartition, offset: int) -> Record | None:
    """One record by its place. Raises `Unavailable`."""
    async with _reader(address) as reader, admin_client(address) as admin:
        first, end = await _extent(reader, admin, address, place.topic)
        if not first.get(place, 0) <= offset < end.get(place, 0):
            return None
        async with within(_READ_SECONDS, f"reading {place.topic}", address):
            records = await _read(reader, {place: offset}, {place: offset + 1})
        return next((record for record in records if record.offset == offset), None)


@asynccontextmanager
async def _reader(address: KafkaAddress) -> AsyncIterator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(
        **address.options(), group_id=None, enable_auto_commit=False, fetch_max_wait_ms=_POLL_MS
    )
    try:
        async with within(_CONNECT_SECONDS, "connecting", address):
            await reader.start()
        yield reader
    finally:
        await close_consumer(reader)


async def _extent(
    reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient, address: KafkaAddress, topic: str
) -> tuple[_Offsets, _Offsets]:
    """The first offset of each partition and the one after the last; empty without the topic."""
    async with within(_READ_SECONDS, f"asking for the offsets of {topic}", address):
        found = (await existing(admin)).get(topic)
        if found is None:
            return {}, {}
        places = [TopicPartition(topic, partition) for partition in found.partitions]
        return await reader.beginning_offsets(places), await reader.end_offsets(places)


async def _committed(
    admin: AIOKafkaAdminClient, address: KafkaAddress, group: str, places: Sequence[TopicPartition]
) -> _Offsets:
    """What a group has committed; nothing for partitions where it has not."""
    if not places:
        return {}
    async with within(_READ_SECONDS, f"asking where {group} is", address):
        while True:
            try:
                found = await admin.list_consumer_group_offsets(group, partitions=places)
            except KafkaError as error:  # the first group ever makes the cluster make its topic
                if not error.retriable:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return {tp: place.offset for tp, place in found.items() if place.offset >= 0}


async def _first_records(
    reader: AIOKafkaConsumer, address: KafkaAddress, start: _Offsets
) -> list[Record]:
    if not start:
        return []
    topic = next(iter(start)).topic
    async with within(_READ_SECONDS, f"reading {topic}", address):
        return await _read(reader, start, {tp: offset + 1 for tp, offset in start.items()})


async def _read(reader: AIOKafkaConsumer, start: _Offsets, end: _Offsets) -> list[Record]:
    """All records from `start` (inclusive) to `end` (exclusive)."""
    open_places = {tp for tp, offset in start.items() if offset < end[tp]}
    if not open_places:
        return []
    reader.assign(open_places)
    for place in open_places:
        reader.seek(place, start[place])
    records: list[Record] = []
    while open_places:
        found = await reader.getmany(*open_places, timeout_ms=_POLL_MS)
        for items in found.values():
            records += [
                record_of(item)
                for item in items
                if item.offset < end[TopicPartition(item.topic, item.partition)]
            ]
        for place in list(open_places):
            if await reader.position(place) >= end[place]:
                open_places.discard(place)
                reader.pause(place)
    return records
