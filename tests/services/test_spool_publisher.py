"""The publisher with a spool behind it, on a real stream that is taken away and given back."""

import asyncio
import random

import pytest

from services.errors import Unavailable
from services.spool.metrics import SpoolMetricName, watch
from services.spool.publisher import SpoolingPublisher
from services.spool.spool import Spool, SpoolFull
from services.stream.port import Message
from services.stream.size import TooLarge
from services.stream.sqlite import SqliteStream
from services.telemetry import Metrics

CAP = 64 << 20
PATIENCE_SECONDS = 0.05


class Weather:
    """A real stream behind a line that can be cut (`away`), jammed (`slow`), or flapping."""

    def __init__(self, stream, *, away=False):
        self.stream = stream
        self.away = away
        self.slow = asyncio.Event()
        self.slow.set()
        self.asked = 0
        self.lose_answers = 0
        self.surprises = 0

    async def start(self):
        self._look()
        await self.stream.start()

    async def publish(self, messages):
        self.asked += 1
        await self.slow.wait()
        self._look()
        if self.surprises:
            self.surprises -= 1
            text = "nobody thought of this"
            raise ValueError(text)
        await self.stream.publish(messages)
        if self.lose_answers:
            self.lose_answers -= 1
            text = "the answer was lost"
            raise Unavailable(text)

    def _look(self):
        if self.away:
            text = "the line is cut"
            raise Unavailable(text)


@pytest.fixture
async def stream(tmp_path):
    stream = SqliteStream(tmp_path / "stream.db", retention_ms=3_600_000, max_message_bytes=1 << 20)
    yield stream
    await stream.close()


@pytest.fixture
async def beginning(stream, tmp_path):
    """Starts publishers on one spool folder, each with what it said on changes; closes them."""
    opened = []

    async def begin(*, away=False):
        said = []
        weather = Weather(stream, away=away)
        spool = Spool(tmp_path / "spool", max_bytes=CAP)
        publisher = SpoolingPublisher(
            weather, spool, patience_seconds=PATIENCE_SECONDS, on_change=said.append
        )
        opened.append(publisher)
        await publisher.start()
        return publisher, weather, spool, said

    yield begin
    for publisher in opened:
        await publisher.close()


def message(value, key=b"key"):
    return Message("traces", key, value, (("event_id", value[:20]),))


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def values_in(stream):
    return [record.value for record in await stream.browse("traces", limit=100_000)]


async def test_a_healthy_stream_gets_everything_and_the_spool_nothing(beginning, stream, tmp_path):
    publisher, _, spool, said = await beginning()
    await until(lambda: not publisher.active)
    assert said == ["the stream is not connected yet", None]
    await publisher.publish([message(b"1"), message(b"2")])
    assert await values_in(stream) == [b"1", b"2"]
    assert spool.waiting == 0
    assert list((tmp_path / "spool").iterdir()) == []


async def test_it_takes_messages_before_the_stream_was_ever_there(beginning, stream):
    publisher, weather, spool, said = await beginning(away=True)
    await publisher.publish([message(b"1")])
    await publisher.publish([message(b"2")])
    assert (publisher.active, spool.waiting) == (True, 2)
    weather.away = False
    await until(lambda: not publisher.active)
    assert await values_in(stream) == [b"1", b"2"]
    assert said[-1] is None


async def test_when_the_stream_goes_away_the_spool_takes_over_and_says_why(beginning, stream):
    publisher, weather, _, said = await beginning()
    await until(lambda: not publisher.active)
    await publisher.publish([message(b"1")])
    weather.away = True
    await publisher.publish([message(b"2")])
    assert publisher.active
    assert said[-1] == "the line is cut"
    await publisher.publish([message(b"3")])
    weather.away = False
    await until(lambda: not publisher.active)
    await publisher.publish([message(b"4")])
    assert await values_in(stream) == [b"1", b"2", b"3", b"4"]


async def test_a_slow_stream_is_found_out_once_and_holds_up_nobody_else(beginning, stream):
    publisher, weather, spool, said = await beginning()
    await until(lambda: not publisher.active)
    weather.slow.clear()
    asked = weather.asked
    await publisher.publish([message(b"0")])
    assert "did not answer within 0.05 s" in said[-1]
    for number in range(1, 50):
        await publisher.publish([message(b"%d" % number)])
    assert weather.asked <= asked + 2, "one request found out, and the spool asks itself"
    assert spool.waiting == 50
    weather.slow.set()
    await until(lambda: not publisher.active)
    values = await values_in(stream)
    assert set(values) == {b"%d" % number for number in range(50)}
    # the one that was late arrives itself and from the spool: readers absorb that by event id
    assert values.count(b"0") == 2
    in_order = list(dict.fromkeys(values))
    assert in_order == sorted(in_order, key=int)


async def test_an_answer_that_was_lost_repeats_messages_and_loses_none(beginning, stream):
    publisher, weather, _, _ = await beginning()
    await until(lambda: not publisher.active)
    weather.lose_answers = 3
    for number in range(5):
        await publisher.publish([message(b"%d" % number)])
    await until(lambda: not publisher.active)
    assert list(dict.fromkeys(await values_in(stream))) == [b"0", b"1", b"2", b"3", b"4"]


async def test_what_was_kept_is_sent_after_a_restart_before_anything_new(beginning, stream):
    publisher, _, _, _ = await beginning(away=True)
    for number in range(3):
        await publisher.publish([message(b"old %d" % number)])
    await publisher.close()
    publisher, _, spool, _ = await beginning()
    assert spool.waiting == 3
    await publisher.publish([message(b"new")])
    await until(lambda: not publisher.active)
    assert await values_in(stream) == [b"old 0", b"old 1", b"old 2", b"new"]


async def test_senders_keep_their_order_whatever_the_weather(beginning, stream):
    """Twenty senders, each waiting for its acknowledgement; the stream comes, goes, jams and lies."""
    publisher, weather, _, _ = await beginning(away=True)
    rng = random.Random(5)
    sending = True

    async def change_the_weather():
        while sending:
            weather.away = rng.random() < 0.4
            weather.lose_answers = rng.randrange(2)
            if rng.random() < 0.3:
                weather.slow.clear()
            await asyncio.sleep(rng.uniform(0.005, 0.08))
            weather.slow.set()
        weather.away = False

    async def send(key):
        for number in range(40):
            await publisher.publish([message(b"%d" % number, key)])

    changing = asyncio.create_task(change_the_weather())
    keys = [b"%d" % n for n in range(20)]
    await asyncio.gather(*(send(key) for key in keys))
    sending = False
    await changing
    await until(lambda: not publisher.active)
    records = await stream.browse("traces", limit=100_000)
    for key in keys:
        first_seen = list(dict.fromkeys(int(r.value) for r in records if r.key == key))
        assert first_seen == list(range(40))


async def test_under_traffic_that_never_pauses_the_spool_is_left_all_the_same(beginning, stream):
    """Thirty senders are never all silent at once: one more message would always be in the spool."""
    publisher, weather, _, said = await beginning(away=True)
    sending = True
    sent = 0

    async def send(key):
        nonlocal sent
        while sending:
            await publisher.publish([message(b"%d" % sent, key)])
            sent += 1

    senders = [asyncio.create_task(send(b"%d" % n)) for n in range(30)]
    await until(lambda: sent > 300)
    weather.away = False
    await until(lambda: not publisher.active)
    before = sent
    await until(lambda: sent > before + 300)
    assert said[-1] is None
    sending = False
    await asyncio.gather(*senders)
    assert len(await values_in(stream)) == sent


async def test_an_error_that_nobody_thought_of_is_logged_and_sending_goes_on(
    beginning, stream, monkeypatch
):
    monkeypatch.setattr("services.spool.publisher._AFTER_A_SURPRISE_SECONDS", 0.01)
    publisher, weather, _, _ = await beginning(away=True)
    await publisher.publish([message(b"1")])
    weather.surprises = 2
    weather.away = False
    await until(lambda: not publisher.active)
    assert weather.surprises == 0
    assert await values_in(stream) == [b"1"]


async def test_a_full_spool_is_unavailable_and_counted(beginning):
    publisher, _, _, _ = await beginning(away=True)

    async def fill():
        while True:
            await publisher.publish([message(b"x" * 1_000_000)])

    with pytest.raises(SpoolFull):
        await fill()
    assert publisher.refused == 1


async def test_what_no_topic_takes_is_refused_and_does_not_stop_the_others(beginning, stream):
    publisher, _, _, _ = await beginning()
    await until(lambda: not publisher.active)
    with pytest.raises(TooLarge):
        await publisher.publish([message(b"x" * (2 << 20))])
    assert not publisher.active
    await publisher.publish([message(b"fits")])
    assert await values_in(stream) == [b"fits"]


async def test_the_metrics_say_what_the_spool_does(beginning):
    publisher, weather, spool, _ = await beginning(away=True)
    registry = Metrics().registry
    watch(publisher, spool, registry)
    await publisher.publish([message(b"1"), message(b"2")])
    assert registry.get_sample_value("evalratchet_spool_active") == 1
    assert registry.get_sample_value("evalratchet_spool_messages") == 2
    assert registry.get_sample_value("evalratchet_spool_bytes") == spool.disk_bytes() > 0
    assert registry.get_sample_value("evalratchet_spool_limit_bytes") == CAP
    assert 0 <= registry.get_sample_value("evalratchet_spool_oldest_age_seconds") < 60
    weather.away = False
    await until(lambda: not publisher.active)
    for name in ("active", "messages", "bytes", "oldest_age_seconds"):
        assert registry.get_sample_value(f"evalratchet_spool_{name}") == 0
    shown = {
        sample.name
        for family in registry.collect()
        for sample in family.samples
        if "_spool_" in sample.name and not sample.name.endswith("_created")
    }
    assert shown == set(SpoolMetricName.__args__)
