"""What need not be kept any more goes: whole chunks, and traces that were not drawn."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.archive import Settled, Verdict
from services.store.chunks import CHUNK_MS
from services.store.open import Store

DAY_MS = 86_400_000


async def test_a_chunk_that_is_past_the_retention_goes_with_all_its_traces(
    store: Store, piece: Any, settle: Any
) -> None:
    old = [piece(f"old{number}", "a") for number in range(7)]
    await store.archive.add(old, now_ms=10, due_ms=10)
    await settle(await store.archive.claim_due(now_ms=10, limit=10))
    await store.archive.add([piece("young", "a")], now_ms=CHUNK_MS, due_ms=CHUNK_MS)
    # late feedback does not make it younger
    await store.archive.add([piece("old0", "b")], now_ms=CHUNK_MS, due_ms=CHUNK_MS)
    await settle(await store.archive.claim_due(now_ms=CHUNK_MS, limit=10))
    now = CHUNK_MS + 1
    assert await store.archive.expire(now_ms=now, before_ms=CHUNK_MS - 1, limit=3) == 0
    assert await store.archive.expire(now_ms=now, before_ms=CHUNK_MS, limit=3) == 7
    totals = await store.reader.totals()
    assert (totals.traces, totals.pieces) == (1, 1)
    assert (await store.traces.size()).chunks == 1


async def test_a_chunk_with_a_trace_that_is_still_to_be_scored_stays(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    """However long the scoring was halted: what was acknowledged is scored."""
    await store.archive.add([piece("done", "a")], now_ms=10, due_ms=10)
    await settle(await store.archive.claim_due(now_ms=10, limit=10))
    await store.archive.add([piece("waiting", "a")], now_ms=10, due_ms=10)
    late = 30 * DAY_MS
    assert await store.archive.expire(now_ms=late, before_ms=late) == 1
    assert [(t.trace_id, len(t.pieces)) for t in await due(late)] == [("waiting", 1)]
    await settle(await store.archive.claim_due(now_ms=late, limit=10))
    assert await store.archive.expire(now_ms=late, before_ms=late) == 1
    assert (await store.traces.size()).chunks == 0


async def test_a_trace_that_gets_pieces_for_ever_does_not_keep_its_chunk_for_ever(
    store: Store, piece: Any, settle: Any
) -> None:
    """A client that uses one id for everything: it was scored, and is due again, always."""
    await store.archive.add([piece("t", "a")], now_ms=10, due_ms=10)
    await settle(await store.archive.claim_due(now_ms=10, limit=10))
    await store.archive.add([piece("t", "b")], now_ms=CHUNK_MS, due_ms=CHUNK_MS)
    held = CHUNK_MS + 7 * DAY_MS
    assert await store.archive.expire(now_ms=held, before_ms=held - 1) == 0
    assert await store.archive.expire(now_ms=held, before_ms=held) == 1


async def test_an_expired_trace_that_gets_a_piece_is_a_new_trace(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    await store.archive.add([piece("t", "a")], now_ms=10, due_ms=10)
    claim = await store.archive.claim_due(now_ms=10, limit=10)
    await settle(claim, t=Verdict(state="failed", failing=("x",)))
    later = 2 * CHUNK_MS
    assert await store.archive.expire(now_ms=later, before_ms=later) == 1
    await store.archive.add([piece("t", "b")], now_ms=later, due_ms=later)
    (trace,) = await due(later)
    assert (trace.revision, trace.failing, len(trace.pieces)) == (1, (), 1)


async def test_what_was_not_drawn_goes_after_its_time_and_what_comes_for_it_waits_for_nothing(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    pieces = [piece(name, "a", spans=(name,)) for name in ("kept", "dropped", "again")]
    await store.archive.add(pieces, now_ms=10, due_ms=10)
    claim = await store.archive.claim_due(now_ms=10, limit=10)
    drop = Verdict(state="passed", drop_ms=100)
    await settle(claim, Settled(10, 15), dropped=drop, again=drop)
    assert await store.archive.expire(now_ms=99, before_ms=0) == 0
    # a thumb down in time: it is due, and stays until it is scored
    thumb = piece("span:again", "f", names="span")
    await store.archive.add([thumb], now_ms=99, due_ms=104)
    assert await store.archive.expire(now_ms=100, before_ms=0, limit=1) == 1
    (trace,) = await due(104)
    assert (trace.trace_id, len(trace.pieces)) == ("again", 2)
    failed = Verdict(state="failed", failing=("thumbs",))
    claim = await store.archive.claim_due(now_ms=104, limit=10)
    await settle(claim, Settled(104, 109), again=failed)
    assert await store.archive.expire(now_ms=DAY_MS, before_ms=0) == 0, "failing ones are kept"
    found = [await store.traces.find(name, project=None) for name in ("kept", "dropped", "again")]
    assert [len(rows) for rows in found] == [1, 0, 1]
    # what comes for the one that is gone waits under the span's name
    await store.archive.add([piece("span:dropped", "f", names="span")], now_ms=200, due_ms=200)
    assert await due(DAY_MS) == []


async def test_a_span_of_a_trace_that_is_gone_is_in_no_other_trace(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    """The index of spans outlives single pieces: it must not point to those that came later."""
    await store.archive.add([piece("t", "a", spans=("x",))], now_ms=10, due_ms=10)
    claim = await store.archive.claim_due(now_ms=10, limit=10)
    await settle(claim, t=Verdict(state="passed", drop_ms=20))
    assert await store.archive.expire(now_ms=20, before_ms=0) == 1
    await store.archive.add([piece("u", "a", spans=("y",))], now_ms=30, due_ms=30)
    await store.archive.add([piece("span:x", "f", names="span")], now_ms=30, due_ms=30)
    assert [(t.trace_id, len(t.pieces)) for t in await due()] == [("u", 1)]
    await store.archive.add([piece("t", "a", spans=("x",))], now_ms=30, due_ms=30)
    assert {t.trace_id: len(t.pieces) for t in await due()} == {"u": 1, "t": 2}


async def test_waiting_feedback_expires_too(store: Store, piece: Any) -> None:
    await store.archive.add([piece("span:x", "f", names="span")], now_ms=10, due_ms=10)
    assert await store.archive.expire(now_ms=DAY_MS, before_ms=DAY_MS) == 1
    await store.archive.add([piece("t", "a", spans=("x",))], now_ms=DAY_MS, due_ms=DAY_MS)
    (trace,) = await store.traces.find("t", project=None)
    assert trace.pieces == 1


async def test_writers_workers_and_expiry_at_once_lose_nothing(
    another_store: Callable[[], Store], piece: Any, settle: Any
) -> None:
    """Every trace is settled with all its pieces, whoever adds, takes or deletes at the time."""
    writer, worker, janitor = another_store(), another_store(), another_store()
    seen: dict[str, int] = {}
    done = asyncio.Event()

    async def write(number: int) -> None:
        for step in range(8):
            batch = [
                piece(f"t{(number + k) % 30}", f"{number}.{step}.{k}", spans=(f"{number}.{step}",))
                for k in range(30)
            ]
            await writer.archive.add(batch, now_ms=step * CHUNK_MS, due_ms=0)

    async def work() -> None:
        while True:
            over = done.is_set()
            claim = await worker.archive.claim_due(now_ms=5, limit=7)
            for trace in claim.traces:
                seen[trace.trace_id] = len(trace.pieces)
            await settle(claim, Settled(5, 5))
            if over and not claim.traces:
                return

    async def tidy() -> None:
        while not done.is_set():
            await janitor.archive.expire(now_ms=0, before_ms=0)
            await janitor.archive.rejoin(now_ms=5, due_ms=5)
            await asyncio.sleep(0.01)

    async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        tasks.create_task(tidy())
        await asyncio.gather(*(write(number) for number in range(4)))
        done.set()
    assert seen == {f"t{number}": 32 for number in range(30)}


async def test_late_pieces_and_the_end_of_their_chunk_at_once(
    another_store: Callable[[], Store], piece: Any, settle: Any
) -> None:
    """A late piece is with its trace, or begins a new one: never is it in a chunk that is gone."""
    writer, janitor = another_store(), another_store()
    names = [f"t{number}" for number in range(40)]
    await writer.archive.add([piece(name, "a") for name in names], now_ms=1, due_ms=1)
    while (claim := await writer.archive.claim_due(now_ms=5, limit=100)).traces:
        await settle(claim)
    await claim.abandon()
    late = 9 * CHUNK_MS

    async def write() -> None:
        for name in names:
            await writer.archive.add([piece(name, "b")], now_ms=late, due_ms=late)

    async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        for _ in range(4):
            await janitor.archive.expire(now_ms=late, before_ms=late, limit=7)
    seen: dict[str, list[str]] = {}
    while (claim := await writer.archive.claim_due(now_ms=late, limit=100)).traces:
        seen |= {t.trace_id: [one.event_id for one in t.pieces] for t in claim.traces}
        await settle(claim)
    await claim.abandon()
    assert sorted(seen) == sorted(names)
    assert all(events in (["a", "b"], ["b"]) for events in seen.values())


async def test_many_that_write_first_make_a_chunk_once(
    another_store: Callable[[], Store], piece: Any
) -> None:
    stores = [another_store() for _ in range(6)]
    adds = [
        one.archive.add([piece("t", f"{number}")], now_ms=now, due_ms=now)
        for number, one in enumerate(stores)
        for now in (1, CHUNK_MS)
    ]
    assert sum(await asyncio.gather(*adds)) == len(stores), "each event once"
    (trace,) = await stores[0].traces.find("t", project=None)
    assert trace.pieces == len(stores)
    assert len(await stores[0].traces.pieces_of("shop", "t")) == len(stores)
