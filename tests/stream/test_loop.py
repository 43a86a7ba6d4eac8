"""What the loop promises about order, outages, poison and stopping."""

import asyncio

import msgspec
import pytest

from capture.events import PieceBody, TraceReceived, TraceSettled
from capture.trace import Trace
from services.errors import Halted, Unavailable, Undecodable
from services.stream import envelope
from services.stream.limit import DeadLetterLimit
from services.stream.loop_settings import LoopSettings
from services.stream.outcome import Emit, Retry, Skip
from services.stream.port import Message


class Deciding:
    """A handler that asks a function about each event."""

    def __init__(self, decide):
        self._decide = decide
        self.calls = 0
        self.accepts = (object,)

    async def ready(self):
        return

    async def handle(self, events):
        self.calls += 1
        return [self._decide(event) for event in events]


async def test_events_come_out_in_the_order_they_came_in(
    log, well_formed, make_loop, running, arrived
):
    await log.publish([well_formed(n) for n in range(95)])
    async with running(make_loop(log, Deciding(Emit))):
        out = await arrived(log, "out", 95)
    assert [record.header("event_id") for record in out] == [f"e-{n}" for n in range(95)]


async def test_publishing_comes_before_committing(double, well_formed, make_loop, running, arrived):
    await double.publish([well_formed(n) for n in range(20)])
    double.journal.clear()
    async with running(make_loop(double, Deciding(Emit))):
        await arrived(double, "out", 20)
    assert double.journal == [("publish", 10), ("commit", 10)] * 2


async def test_a_skipped_event_is_committed_and_counted(
    double, well_formed, make_loop, running, committed, metrics
):
    await double.publish([well_formed(1)])
    async with running(make_loop(double, Deciding(lambda _: Skip("passed")))):
        await committed(double, 1)
    labels = {"stage": "scorer", "outcome": "skip", "reason": "passed"}
    assert metrics.registry.get_sample_value("evalratchet_records_total", labels) == 1
    assert "out" not in double.topics


async def test_the_traceparent_is_passed_on(double, well_formed, make_loop, running, arrived):
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    message = well_formed(1)
    with_parent = (*message.headers, ("traceparent", parent.encode()))
    await double.publish([Message(message.topic, message.key, message.value, with_parent)])
    async with running(make_loop(double, Deciding(Emit))):
        (record,) = await arrived(double, "out", 1)
    assert record.header("traceparent") == parent


@pytest.mark.parametrize("what", ["publish", "fetch", "commit"])
async def test_an_outage_is_waited_out_and_nothing_is_parked(
    double, well_formed, make_loop, running, arrived, committed, what
):
    await double.publish([well_formed(n) for n in range(3)])
    double.faults[what] = 2
    async with running(make_loop(double, Deciding(Emit))):
        await arrived(double, "out", 3)
        await committed(double, 3)
    assert "in.dlq" not in double.topics
    assert len(double.topics["out"]) == 3


async def test_a_handler_whose_dependency_is_down_is_asked_again(
    log, well_formed, make_loop, running, arrived
):
    await log.publish([well_formed(n) for n in range(3)])

    class Recovering(Deciding):
        async def handle(self, events):
            if self.calls < 3:
                self.calls += 1
                message = "the store is down"
                raise Unavailable(message)
            return await super().handle(events)

    async with running(make_loop(log, Recovering(Emit))):
        await arrived(log, "out", 3)
    assert list(await log.browse("in.dlq", limit=9)) == []


async def test_an_event_that_raises_is_parked_alone_and_found_by_halving(
    log, well_formed, make_loop, running, arrived
):
    await log.publish([well_formed(n) for n in range(64)])

    def decide(event):
        if event.event_id == "e-37":
            message = "nobody thought of this"
            raise KeyError(message)
        return Emit(event)

    handler = Deciding(decide)
    async with running(make_loop(log, handler, batch=64)):
        out = await arrived(log, "out", 63)
        (letter,) = await arrived(log, "in.dlq", 1)
    assert [r.header("event_id") for r in out] == [f"e-{n}" for n in range(64) if n != 37]
    assert letter.header("dlq.reason") == "handler_error"
    assert letter.header("dlq.detail") == "KeyError: 'nobody thought of this'"
    assert handler.calls <= 2 * 6 + 1


async def test_a_dead_letter_revives_as_the_message_it_was(
    log, well_formed, make_loop, running, arrived
):
    message = well_formed(1)

    def decide(event):
        raise TypeError

    await log.publish([message])
    async with running(make_loop(log, Deciding(decide))):
        (letter,) = await arrived(log, "in.dlq", 1)
    assert (letter.header("dlq.topic"), letter.header("dlq.offset")) == ("in", "0")
    assert envelope.revive(letter) == message


async def test_an_event_to_be_retried_is_handed_over_again_and_keeps_its_place(
    log, well_formed, make_loop, running, arrived
):
    await log.publish([well_formed(n) for n in range(5)])
    asked = {"e-1": 0, "e-3": 0}

    def decide(event):
        if asked.get(event.event_id, 9) < 3:
            asked[event.event_id] += 1
            return Retry("not settled yet", 0.001)
        return Emit(event)

    async with running(make_loop(log, Deciding(decide))):
        out = await arrived(log, "out", 5)
    assert [record.header("event_id") for record in out] == [f"e-{n}" for n in range(5)]
    assert asked == {"e-1": 3, "e-3": 3}


async def test_an_event_may_be_retried_thousands_of_times(
    double, well_formed, make_loop, running, arrived
):
    """Waiting is not recursion: an event that waits for long is no poison."""
    await double.publish([well_formed(1)])
    times = iter(range(3000))
    handler = Deciding(lambda event: Emit(event) if next(times, None) is None else Retry("wait", 0))
    async with running(make_loop(double, handler)):
        await arrived(double, "out", 1)
    assert "in.dlq" not in double.topics


async def test_an_event_that_outgrows_the_next_topic_is_parked(
    double, well_formed, make_loop, running, arrived
):
    trace = Trace(trace_id="t", project="airline", output="x" * 5000)
    large = TraceReceived(event_id="large", trace=trace)
    await double.publish([well_formed(1), well_formed(2)])
    handler = Deciding(lambda event: Emit(large if event.event_id == "e-1" else event))
    async with running(make_loop(double, handler, max_message_bytes=4000)):
        (letter,) = await arrived(double, "in.dlq", 1)
        await arrived(double, "out", 1)
    assert letter.header("dlq.reason") == "too_large"
    assert letter.value == well_formed(1).value


async def test_a_record_from_before_the_limit_was_lowered_does_not_stop_the_stage(
    double, well_formed, make_loop, running, arrived
):
    """Its letter says where it is; the bytes would be refused by the dead-letter topic too."""
    await double.publish([Message("in", b"key", b"x" * 5000), well_formed(2)])
    async with running(make_loop(double, Deciding(Emit), max_message_bytes=4000)):
        (letter,) = await arrived(double, "in.dlq", 1)
        await arrived(double, "out", 1)
    assert letter.value == b""
    assert "5000 bytes" in letter.header("dlq.detail")


async def test_a_settled_trace_too_large_to_be_parked_is_parked_by_its_name(
    double, make_loop, arrived, running
):
    """Many pieces of a megabyte make it; the archive has them, and a replay finds them there."""
    piece = PieceBody("trace/1", msgspec.Raw(b'"' + b"x" * 5000 + b'"'))
    event = TraceSettled(event_id="s", project="airline", trace_id="t", pieces=(piece,))
    await double.publish([envelope.encode(event, "in")])
    large = TraceReceived(event_id="l", trace=Trace(trace_id="t", project="p", output="x" * 5000))
    handler = Deciding(lambda _: Emit(large))
    async with running(make_loop(double, handler, max_message_bytes=4000)):
        (letter,) = await arrived(double, "in.dlq", 1)
    assert envelope.decode(letter) == msgspec.structs.replace(event, pieces=())


async def test_an_event_that_cannot_be_written_is_parked(
    double, well_formed, make_loop, running, arrived
):
    bad = TraceReceived(event_id="x", trace=Trace(trace_id="\ud800", project="p"))
    await double.publish([well_formed(1), well_formed(2)])
    handler = Deciding(lambda event: Emit(bad if event.event_id == "e-1" else event))
    async with running(make_loop(double, handler)):
        (letter,) = await arrived(double, "in.dlq", 1)
        await arrived(double, "out", 1)
    assert letter.header("dlq.reason") == "handler_error"
    assert letter.header("dlq.detail").startswith("what follows from it cannot be written")


async def test_too_many_dead_letters_stop_the_stage_before_they_are_parked(
    log, make_loop, remembered
):
    """A bad deploy must not drain the topic into the dead-letter topic."""
    await log.publish([Message("in", b"key", b"rubbish") for _ in range(30)])
    limit = DeadLetterLimit(ratio=0.1, window=100, floor=15)
    for _ in range(3):  # as often as it is restarted
        with pytest.raises(Halted, match=r"dead letters.*in\.dlq"):
            await make_loop(log, Deciding(Emit), limit=limit, batch=20).run()
    assert list(await log.browse("in.dlq", limit=99)) == []
    assert remembered.counts == {}, "stopping is not dying"


async def test_a_few_dead_letters_among_many_good_records_stop_nothing(
    log, well_formed, make_loop, running, arrived
):
    limit = DeadLetterLimit(ratio=0.5, window=100, floor=5)
    messages = [
        Message("in", b"key", b"rubbish") if n % 5 == 0 else well_formed(n) for n in range(100)
    ]
    await log.publish(messages)
    async with running(make_loop(log, Deciding(Emit), limit=limit)):
        await arrived(log, "out", 80)
    assert len(await log.browse("in.dlq", limit=99)) == 20


async def test_stopping_finishes_the_batch_in_hand(double, well_formed, make_loop):
    await double.publish([well_formed(n) for n in range(30)])
    loops = []

    def decide(event):
        loops[0].stop()
        return Emit(event)

    loops.append(make_loop(double, Deciding(decide)))
    await loops[0].run()
    assert len(double.topics["out"]) == 10
    assert double.committed == 10


async def test_a_loop_that_is_cancelled_is_no_evidence_against_what_it_had_in_hand(
    double, well_formed, make_loop, remembered
):
    """A slow shutdown would else count as a death, and five of them make a dead letter."""
    await double.publish([well_formed(1)])
    begun = asyncio.Event()

    class Slow(Deciding):
        async def handle(self, events):
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(make_loop(double, Slow(Emit)).run())
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert remembered.counts == {}


async def test_stopping_during_an_outage_commits_nothing(double, well_formed, make_loop):
    await double.publish([well_formed(1)])
    double.faults["publish"] = 1_000_000
    loop = make_loop(double, Deciding(Emit))
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.05)
    loop.stop()
    await asyncio.wait_for(task, 20)
    assert double.committed == 0


@pytest.mark.parametrize(
    ("records", "took", "pause"),
    [(3, 0.001, 0.05), (3, 0.03, 0.12), (3, 9.0, 0.25), (200, 0.03, 0.0), (999, 9.0, 0.0)],
)
def test_a_loop_lets_more_gather_the_longer_its_turns_take_unless_they_are_full(
    records: int, took: float, pause: float
) -> None:
    settings = LoopSettings(
        *("scorer", "scorer", "out", "in.dlq"),
        max_message_bytes=1,
        batch=200,
        gather_seconds=0.05,
        gather_most_seconds=0.25,
    )
    assert settings.pause_after(records, took) == pytest.approx(pause)


def test_a_loop_that_need_not_gather_does_not_pause() -> None:
    settings = LoopSettings("scorer", "scorer", "out", "in.dlq", max_message_bytes=1)
    assert settings.pause_after(1, 9.0) == 0


async def test_a_handler_is_given_what_its_decoder_makes_of_a_record(
    double, wrapping, well_formed, make_loop, running, arrived
):
    """What the decoder cannot read is parked, as ever."""

    def without_trace_2(record):
        if record.key.endswith(b"2"):
            raise Undecodable("not this one")
        return envelope.decode(record)

    messages = [well_formed(number) for number in range(4)]
    await double.publish(messages)
    handler = wrapping()
    async with running(make_loop(double, handler, decode=without_trace_2)):
        parked = await arrived(double, "in.dlq", 1)
        await arrived(double, "out", 3)
    assert [record.key for record in parked] == [messages[2].key]
    assert sum(map(len, handler.batches)) == 3
