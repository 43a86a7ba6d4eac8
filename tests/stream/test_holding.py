"""What the loop promises when one project cannot be decided: the others go on, nothing is lost."""

import asyncio
import itertools
import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from capture.events import TraceReceived
from capture.trace import Trace
from services.errors import Unavailable
from services.store.open import Store
from services.store.tables import metadata as tables
from services.stream import envelope
from services.stream.holding import AGAIN_SECONDS, Holding
from services.stream.outcome import Emit, Hold, Retry

WHY = "its encoder is not there"
LATER_MS = int(AGAIN_SECONDS * 1000)


class Waiting:
    """A handler that cannot decide about the projects in `stuck`."""

    accepts = (object,)

    def __init__(self, *stuck):
        self.stuck = set(stuck)
        self.asked = []

    async def ready(self):
        return

    async def handle(self, events):
        self.asked.append([event.project for event in events])
        return [
            Hold(one.project, WHY) if one.project in self.stuck else Emit(one) for one in events
        ]


class Killed(MemoryError):
    """As if the process was killed here."""


class Deadly:
    """Calls of everything a loop talks to; the one with a number in `at` is the last."""

    def __init__(self, at=None, *, after=False):
        self.calls = 0
        self._at = at
        self._after = after

    def around(self, part, *names):
        for name in names:
            setattr(part, name, self._deadly(getattr(part, name)))
        return part

    def _deadly(self, method):
        async def call(*arguments, **named):
            self.calls += 1
            dies = self.calls == self._at
            if dies and not self._after:
                raise Killed
            result = await method(*arguments, **named)
            if dies:
                raise Killed
            return result

        return call


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("held") / "store.db"
    engine = create_engine(f"sqlite:///{path}")
    tables.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def new_store(tmp_path, empty_file):
    """Stores with nothing in them."""
    opened, numbers = [], itertools.count()

    def new():
        path = Path(shutil.copy(empty_file, tmp_path / f"held-{next(numbers)}.db"))
        opened.append(Store(f"sqlite:///{path}"))
        return opened[-1]

    yield new
    for store in opened:
        await store.close()


@pytest.fixture
def later():
    """A clock that is later, by as long as a project waits, whenever it is looked at."""
    times = itertools.count(1)
    return lambda: next(times) * LATER_MS


@pytest.fixture
def make_holding(metrics, later):
    def make(held, *, limit=1000, clock=None):
        show = metrics.stage("scorer").show_held
        return Holding(held, "scorer", limit=limit, clock_ms=clock or later, show=show)

    return make


@pytest.fixture
def of():
    """A message of a project's trace; several of one trace have to stay in order."""

    def of(project, trace, number):
        event = TraceReceived(
            event_id=f"{project}-{trace}-{number}",
            trace=Trace(trace_id=f"{project}-{trace}", project=project, input="?"),
        )
        return envelope.encode(event, "in")

    return of


async def until(look, wanted):
    """Wait until a look gives this."""
    for _ in range(2000):
        if (found := await look()) == wanted:
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"it is {found}, not {wanted}")


async def waiting(store, *projects):
    found = await store.held.projects("scorer")
    return sum(one.records for name, one in found.items() if name in projects)


async def more(look, than):
    return "more" if look() > than else "not yet"


def ids(records):
    return [record.header("event_id") for record in records]


async def test_while_one_project_waits_the_others_go_on(
    log, of, make_loop, make_holding, new_store, running, arrived
):
    """And those behind a hundred of it, in the same partition."""
    stuck = [of("stuck", n, 1) for n in range(100)]
    await log.publish([of("fine", 1, 1), *stuck, of("fine", 1, 2), *stuck[:1], of("fine", 2, 1)])
    handler, store = Waiting("stuck"), new_store()
    still = make_holding(store.held, clock=lambda: 0)
    async with running(make_loop(log, handler, holding=still)):
        out = await arrived(log, "out", 3)
        await until(lambda: waiting(store, "stuck"), 101)
    assert ids(out) == ["fine-1-1", "fine-1-2", "fine-2-1"]
    assert (await store.held.projects("scorer"))["stuck"].why == WHY
    assert list(await log.browse("in.dlq", limit=9)) == []
    asked = [names for names in handler.asked if "stuck" in names]
    assert len(asked) == 1, "those that queue up are not looked at"


async def test_what_waited_is_decided_in_its_order_once_it_can_be(
    log, of, make_loop, make_holding, new_store, running, arrived, metrics
):
    await log.publish([of("stuck", n % 3, n) for n in range(45)])
    handler, store = Waiting("stuck"), new_store()
    async with running(make_loop(log, handler, holding=make_holding(store.held, clock=lambda: 0))):
        await until(lambda: waiting(store, "stuck"), 45)
        await log.publish([of("fine", 1, 1)])
        await arrived(log, "out", 1)
    labels = {"stage": "scorer", "project": "stuck"}
    assert metrics.registry.get_sample_value("evalratchet_held_records", labels) == 45
    assert WHY in metrics.health.notes()["scorer: stuck"]
    handler.stuck.clear()
    await log.publish([of("stuck", 0, 45)])
    async with running(make_loop(log, handler, holding=make_holding(store.held))):
        out = await arrived(log, "out", 47)
    assert ids(out)[1:] == [f"stuck-{n % 3}-{n}" for n in range(46)]
    assert await store.held.projects("scorer") == {}
    assert metrics.registry.get_sample_value("evalratchet_held_records", labels) is None
    assert metrics.health.notes() == {}


async def test_two_projects_that_wait_do_not_wait_for_each_other(
    double, of, make_loop, make_holding, new_store, running, arrived
):
    await double.publish([of(name, n, 1) for n in range(20) for name in ("one", "two")])
    handler, store = Waiting("one", "two"), new_store()
    async with running(make_loop(double, handler, holding=make_holding(store.held))):
        await until(lambda: waiting(store, "one", "two"), 40)
        handler.stuck.remove("two")
        out = await arrived(double, "out", 20)
        assert ids(out) == [f"two-{n}-1" for n in range(20)]
        handler.stuck.clear()
        await arrived(double, "out", 40)


async def test_what_follows_one_that_waits_in_its_batch_waits_too(
    double, of, make_loop, make_holding, new_store, running, arrived
):
    """Else the later word on a trace would be overtaken by the earlier one."""

    class First(Waiting):
        async def handle(self, events):
            return [
                Hold(one.project, WHY) if self.stuck and one.event_id.endswith("-1") else Emit(one)
                for one in events
            ]

    await double.publish([of("shop", 7, n) for n in range(4)])
    handler, store = First("shop"), new_store()
    async with running(make_loop(double, handler, holding=make_holding(store.held))):
        await arrived(double, "out", 1)
        handler.stuck.clear()
        out = await arrived(double, "out", 4)
    assert ids(out) == [f"shop-7-{n}" for n in range(4)]


async def test_when_there_is_no_room_the_topic_waits_and_goes_on_once_there_is(
    double, of, make_loop, make_holding, new_store, running, arrived, monkeypatch
):
    monkeypatch.setattr("services.stream.loop._NO_ROOM_SECONDS", 0.001)
    messages = [of("stuck", n, 1) for n in range(30)]
    await double.publish([*messages, of("fine", 1, 1)])
    handler, store = Waiting("stuck"), new_store()
    loop = make_loop(double, handler, holding=make_holding(store.held, limit=20))
    task = asyncio.create_task(loop.run())
    await until(lambda: waiting(store, "stuck"), 20)
    calls = len(handler.asked)
    await until(lambda: more(lambda: len(handler.asked), calls + 1), "more")
    assert double.committed == 20
    assert (await store.held.projects("scorer"))["stuck"].records == 20
    loop.stop()
    await asyncio.wait_for(task, 60)
    handler.stuck.clear()
    again = make_loop(double, handler, holding=make_holding(store.held, limit=20))
    async with running(again):
        out = await arrived(double, "out", 31)
    assert sorted(ids(out)) == sorted(ids([*double.topics["in"]]))


async def test_without_a_place_to_set_it_aside_the_batch_waits(
    double, of, make_loop, running, arrived, monkeypatch
):
    monkeypatch.setattr("services.stream.loop._NO_ROOM_SECONDS", 0.001)
    await double.publish([of("stuck", 1, 1), of("fine", 1, 1)])
    handler = Waiting("stuck")
    async with running(make_loop(double, handler)):
        await until(lambda: more(lambda: len(handler.asked), 4), "more")
        assert double.committed == 0
        handler.stuck.clear()
        out = await arrived(double, "out", 2)
    assert ids(out) == ["stuck-1-1", "fine-1-1"]


async def test_one_that_is_to_be_tried_soon_keeps_its_place_beside_one_that_waits_for_long(
    double, of, make_loop, make_holding, new_store, running, arrived
):
    times = iter(range(3))

    class Both(Waiting):
        async def handle(self, events):
            soon = next(times, None) is not None
            return [
                Hold("stuck", WHY)
                if one.project == "stuck"
                else (Retry("soon", 0.001) if soon and one.project == "soon" else Emit(one))
                for one in events
            ]

    await double.publish([of("stuck", 1, 1), of("soon", 1, 1), of("fine", 1, 1)])
    store = new_store()
    holding = make_holding(store.held, clock=lambda: 0)
    async with running(make_loop(double, Both(), holding=holding)):
        out = await arrived(double, "out", 2)
    assert ids(out) == ["soon-1-1", "fine-1-1"]
    assert (await store.held.projects("scorer"))["stuck"].records == 1


async def test_a_waiting_event_that_makes_the_handler_raise_is_parked_alone(
    double, of, make_loop, make_holding, new_store, running, arrived, committed
):
    class Raising(Waiting):
        async def handle(self, events):
            if not self.stuck and any(one.event_id == "stuck-3-1" for one in events):
                message = "nobody thought of this"
                raise KeyError(message)
            return await super().handle(events)

    await double.publish([of("stuck", n, 1) for n in range(8)])
    handler, store = Raising("stuck"), new_store()
    async with running(make_loop(double, handler, holding=make_holding(store.held))):
        await committed(double, 8)
        handler.stuck.clear()
        (letter,) = await arrived(double, "in.dlq", 1)
        await arrived(double, "out", 7)
        await until(lambda: waiting(store, "stuck"), 0)
    assert letter.header("dlq.offset") == "3"


async def test_a_waiting_record_that_kills_the_process_is_parked_after_some_deaths(
    double, of, make_loop, make_holding, new_store, committed, running
):
    class Poison(Waiting):
        async def handle(self, events):
            if not self.stuck and any(one.event_id == "stuck-1-1" for one in events):
                raise MemoryError  # ends the loop as a kill would: nothing is tidied up
            return await super().handle(events)

    await double.publish([of("stuck", n, 1) for n in range(3)])
    handler, store = Poison("stuck"), new_store()
    async with running(make_loop(double, handler, holding=make_holding(store.held))):
        await committed(double, 3)
    handler.stuck.clear()
    deaths = 0
    for _ in range(12):
        loop = make_loop(double, handler, holding=make_holding(store.held), max_attempts=3)
        try:
            await _ends(loop, store.held, lambda: True)
        except MemoryError:
            deaths += 1
        else:
            break
    (letter,) = double.topics["in.dlq"]
    assert letter.header("dlq.reason") == "kills_process"
    assert deaths == 4  # in the batch, and three times alone
    assert await store.held.projects("scorer") == {}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_process_may_be_killed_at_any_step_and_nothing_is_lost_or_out_of_order(
    double, of, make_loop, make_holding, new_store, remembered, after
):
    """First while a project waits, then while what waited is decided."""
    messages = [of(("stuck", "fine")[n % 2], n % 3, n) for n in range(24)]
    for at in itertools.count(1):
        log, held = type(double)(), new_store().held
        remembered.counts.clear()
        await log.publish(messages)
        handler = Waiting("stuck")
        deadly = Deadly(at, after=after)
        parts = [
            deadly.around(log, "publish", "commit"),
            deadly.around(remembered, "begin", "end"),
            deadly.around(held, "hold", "release"),
            deadly.around(handler, "handle"),
        ]
        first = make_loop(log, handler, holding=make_holding(held, clock=lambda: 0))
        killed = await _ends(first, None, lambda log=log: log.committed == 24)
        handler.stuck.clear()
        if not killed:
            loop = make_loop(log, handler, holding=make_holding(held))
            killed = await _ends(loop, held, lambda: True)
        for part in parts:
            for name in ("publish", "commit", "begin", "end", "hold", "release", "handle"):
                vars(part).pop(name, None)
        loop = make_loop(log, handler, holding=make_holding(held))
        await _ends(loop, held, lambda log=log: log.committed == 24)
        _in_order(log, messages)
        if not killed:
            break
    assert at > 20, "there are that many steps to be killed at"


async def _ends(loop, held, done):
    """Run until `done` and nothing is held, then stop; whether it was killed before."""
    task = asyncio.create_task(loop.run())
    for _ in range(4000):
        if task.done() or (done() and not (held and await held.projects("scorer"))):
            break
        await asyncio.sleep(0.002)
    else:
        pytest.fail("it never ends")
    loop.stop()
    try:
        await asyncio.wait_for(task, 60)
    except Killed:
        return True
    return False


def _in_order(log, messages):
    """Of each trace everything, and nothing before what came before it."""
    for key in {message.key for message in messages}:
        came = [_id(message) for message in messages if message.key == key]
        out = [one for one in ids(log.topics["out"]) if one in came]
        assert list(dict.fromkeys(out)) == came
        assert out[-1] == came[-1], "the last word stays the last"


def _id(message):
    return dict(message.headers)["event_id"].decode()


async def test_two_workers_do_not_try_the_same_project_at_once(
    double, of, make_holding, new_store, metrics
):
    await double.publish([of("stuck", 1, n) for n in range(4)])
    records, held = double.topics["in"], new_store().held
    first = make_holding(held, clock=lambda: 0)
    await first.keep([(record, Hold("stuck", WHY)) for record in records])
    await first.keep([(record, Hold("stuck", WHY)) for record in records])  # delivered again
    second, third = (make_holding(held, clock=lambda: LATER_MS) for _ in range(2))
    await second.look()
    await third.look()
    assert ids(await second.due(100)) == ids(records)
    assert await third.due(100) == ()
    await second.release(records[:2], ["stuck"])
    assert (await held.projects("scorer"))["stuck"].due_ms == 2 * LATER_MS
    assert (await held.projects("scorer"))["stuck"].records == 2
    await third.look()
    assert await third.due(100) == ()


async def test_a_store_that_is_away_while_something_is_set_aside_is_waited_for(
    double, of, make_loop, make_holding, new_store, running, arrived
):
    await double.publish([of("stuck", 1, 1), of("fine", 1, 1)])
    held, times = new_store().held, iter(range(2))
    hold = held.hold

    async def away(*arguments, **named):
        if next(times, None) is not None:
            raise Unavailable("the store is away")
        await hold(*arguments, **named)

    held.hold = away
    holding = make_holding(held, clock=lambda: 0)
    async with running(make_loop(double, Waiting("stuck"), holding=holding)):
        await arrived(double, "out", 1)
    assert (await held.projects("scorer"))["stuck"].records == 1


async def test_after_a_crash_nothing_overtakes_one_that_still_waits(
    double, of, make_loop, make_holding, new_store, running, remembered
):
    """Records are taken one at a time then, and each would be decided as if it were the only one."""

    class First(Waiting):
        async def handle(self, events):
            self.asked.append([event.event_id for event in events])
            return [
                Hold(one.project, WHY) if self.stuck and one.event_id.endswith("-0") else Emit(one)
                for one in events
            ]

    await double.publish([of("shop", 7, n) for n in range(3)])
    handler, store = First("shop"), new_store()
    held = [(record, Hold("shop", WHY)) for record in double.topics["in"]]
    await make_holding(store.held, clock=lambda: 0).keep(held)
    double.committed = 3
    remembered.counts["scorer/held", "in/0/0"] = 1  # a process died with this batch in hand
    async with running(make_loop(double, handler, holding=make_holding(store.held))):
        await until(lambda: more(lambda: len(handler.asked), 1), "more")
    assert "out" not in double.topics
    assert await waiting(store, "shop") == 3


async def test_one_that_is_held_at_the_second_try_is_not_overtaken_by_what_was_decided_at_the_first(
    double, of, make_loop, make_holding, new_store, running, committed
):
    class Slow(Waiting):
        async def handle(self, events):
            self.asked.append([event.event_id for event in events])
            return [Emit(one) if one.event_id.endswith("-1") else self.first() for one in events]

        def first(self):
            return Retry("soon", 0.001) if len(self.asked) == 1 else Hold("shop", WHY)

    await double.publish([of("shop", 7, n) for n in range(2)])
    store = new_store()
    holding = make_holding(store.held, clock=lambda: 0)
    async with running(make_loop(double, Slow(), holding=holding)):
        await committed(double, 2)
    assert "out" not in double.topics
    assert await waiting(store, "shop") == 2


async def test_what_another_worker_set_aside_while_this_one_fetched_is_not_overtaken(
    double, of, make_loop, make_holding, new_store, running, committed
):
    """A partition comes while a fetch waits, with what its last worker had set aside of it."""
    store, fetch = new_store(), double.fetch
    await double.publish([of("shop", 7, n) for n in range(2)])
    first = [(double.topics["in"][0], Hold("shop", WHY))]

    async def taken_over(**asked):
        if not double.committed:
            await make_holding(store.held, clock=lambda: 0).keep(first)
            double.committed = double._next = 1
        return await fetch(**asked)

    double.fetch = taken_over
    holding = make_holding(store.held, clock=lambda: 0)
    async with running(make_loop(double, Waiting(), holding=holding)):
        await committed(double, 2)
    assert "out" not in double.topics
    assert await waiting(store, "shop") == 2
