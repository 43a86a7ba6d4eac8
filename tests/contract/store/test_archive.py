"""`services.archive.Archive`."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.ids import derive_id
from services.archive import ArchivedPiece, DueTrace
from services.store.open import Store


def piece(trace: str, event: str, body: bytes = b"{}", project: str = "shop") -> ArchivedPiece:
    return ArchivedPiece(project, trace, event, "trace/1", body)


async def due(store: Store, now_ms: int = 1000, limit: int = 100) -> list[DueTrace]:
    """What is due, without taking it."""
    claim = await store.archive.claim_due(now_ms=now_ms, limit=limit)
    traces = list(claim.traces)
    await claim.abandon()
    return traces


async def test_a_trace_comes_back_with_its_pieces_in_order_of_arrival(store: Store) -> None:
    pieces = [piece("t", name, name.encode()) for name in ("z", "a", "m")]
    assert await store.archive.add(pieces[:2], now_ms=10, due_ms=20) == 2
    assert await store.archive.add(pieces[2:], now_ms=11, due_ms=21) == 1
    (trace,) = await due(store)
    assert trace == DueTrace("shop", "t", 3, False, tuple(pieces))  # noqa: FBT003


async def test_a_piece_is_kept_once(store: Store) -> None:
    """Redelivery, in a batch or in a later one, changes nothing, not even when a trace is due."""
    first = piece("t", "a", b"first")
    assert await store.archive.add([first, piece("t", "a", b"other")], now_ms=1, due_ms=10) == 1
    assert await store.archive.add([piece("t", "a", b"third")], now_ms=1, due_ms=5000) == 0
    (trace,) = await due(store)
    assert trace.pieces == (first,)
    assert trace.revision == 1


async def test_the_same_trace_id_in_two_projects_is_two_traces(store: Store) -> None:
    both = [piece("t", "a", b"1", "shop"), piece("t", "a", b"2", "bank")]
    assert await store.archive.add(both, now_ms=1, due_ms=1) == 2
    assert [(t.project, t.pieces[0].body) for t in await due(store)] == [
        ("bank", b"2"),
        ("shop", b"1"),
    ]


async def test_the_longest_due_come_first_and_others_wait(store: Store) -> None:
    for name, due_ms in (("late", 30), ("early", 10), ("middle", 20), ("not yet", 2000)):
        await store.archive.add([piece(name, "a")], now_ms=1, due_ms=due_ms)
    assert [trace.trace_id for trace in await due(store)] == ["early", "middle", "late"]
    assert [trace.trace_id for trace in await due(store, limit=2)] == ["early", "middle"]


async def test_a_trace_too_large_to_be_read_comes_without_its_pieces(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that a client uses for everything would else fill the memory on every start."""
    monkeypatch.setattr("services.store.claims._TRACE_BYTES", 100)
    pieces = [piece("endless", name, b"x" * 60) for name in ("a", "b")] + [piece("t", "a")]
    await store.archive.add(pieces, now_ms=1, due_ms=1)
    assert {trace.trace_id: len(trace.pieces) for trace in await due(store)} == {
        "endless": 0,
        "t": 1,
    }


async def test_a_new_piece_puts_its_trace_off(store: Store) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=10)
    await store.archive.add([piece("t", "b")], now_ms=9, due_ms=19)
    assert await due(store, now_ms=18) == []
    assert len(await due(store, now_ms=19)) == 1


async def test_a_settled_trace_is_no_longer_due(store: Store) -> None:
    await store.archive.add([piece("good", "a"), piece("bad", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await claim.settle([trace.trace_id == "bad" for trace in claim.traces])
    assert await due(store) == []


async def test_a_late_piece_makes_a_settled_trace_due_and_it_remembers_that_it_failed(
    store: Store,
) -> None:
    await store.archive.add([piece("good", "a"), piece("bad", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await claim.settle([trace.trace_id == "bad" for trace in claim.traces])
    await store.archive.add([piece("good", "b"), piece("bad", "b")], now_ms=6, due_ms=7)
    claim = await store.archive.claim_due(now_ms=7, limit=10)
    assert [(t.trace_id, t.failed, len(t.pieces)) for t in claim.traces] == [
        ("bad", True, 2),
        ("good", False, 2),
    ]
    await claim.settle([False, False])
    await store.archive.add([piece("bad", "c")], now_ms=8, due_ms=9)
    assert (await due(store))[0].failed, "a failed trace stays failed"


async def test_a_piece_that_comes_while_its_trace_is_in_hand_keeps_it_due(store: Store) -> None:
    """Adding neither waits for the claim nor is overlooked by it."""
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    async with asyncio.timeout(5):
        await store.archive.add([piece("t", "b")], now_ms=6, due_ms=6)
    await claim.settle([True, False])
    (trace,) = await due(store)
    assert (trace.trace_id, trace.failed, len(trace.pieces)) == ("t", True, 2)


async def test_again_makes_a_trace_due_without_a_new_piece(store: Store) -> None:
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await claim.settle([False, False])
    assert await store.archive.add([piece("t", "a")], now_ms=6, due_ms=7, again=True) == 0
    assert [trace.trace_id for trace in await due(store)] == ["t"]


async def test_again_gives_a_trace_that_counted_as_failed_another_chance(store: Store) -> None:
    """Its failure may have been a dead letter that is being replayed: it must not be skipped."""
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await claim.settle([True, True])
    await store.archive.add([piece("t", "a")], now_ms=6, due_ms=7, again=True)
    await store.archive.add([piece("u", "b")], now_ms=6, due_ms=7)
    assert {trace.trace_id: trace.failed for trace in await due(store)} == {"t": False, "u": True}


async def test_a_trace_is_scored_again_by_its_name(store: Store) -> None:
    """What is too large for a dead letter is replayed from the archive alone."""
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    assert await store.archive.rescore("shop", "t", due_ms=7)
    await claim.settle([True, True])
    (trace,) = await due(store)
    assert (trace.trace_id, trace.revision, len(trace.pieces)) == ("t", 2, 1)
    assert not await store.archive.rescore("shop", "nobody", due_ms=7)


async def test_again_is_not_overlooked_by_a_claim_in_hand(store: Store) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await store.archive.add([piece("t", "a")], now_ms=6, due_ms=7, again=True)
    await claim.settle([False])
    assert len(await due(store)) == 1


async def test_two_claims_never_share_a_trace(store: Store) -> None:
    names = [f"t{number:03}" for number in range(50)]
    await store.archive.add([piece(name, "a") for name in names], now_ms=1, due_ms=1)
    claims = [await store.archive.claim_due(now_ms=5, limit=20) for _ in range(4)]
    taken = [trace.trace_id for claim in claims for trace in claim.traces]
    assert sorted(taken) == names
    for claim in claims:
        await claim.settle([False] * len(claim.traces))
    assert await due(store) == []


async def test_an_abandoned_trace_is_still_due(store: Store) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    assert await due(store) == [], "in hand"
    await claim.abandon()
    await claim.abandon()
    assert len(await due(store)) == 1


async def test_a_claim_that_is_open_when_the_store_closes_is_let_go(
    another_store: Callable[[], Store],
) -> None:
    first = another_store()
    await first.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    await first.archive.claim_due(now_ms=5, limit=10)
    await first.close()
    assert len(await due(another_store())) == 1


async def test_a_claim_stays_within_a_bound_of_bytes_but_is_never_empty(store: Store) -> None:
    """A batch of the largest traces must fit in memory."""
    large = b"x" * (9 << 20)
    pieces = [piece(name, "a", large) for name in ("a", "b", "c")]
    await store.archive.add([*pieces, piece("d", "a", large * 3)], now_ms=1, due_ms=1)
    taken = []
    while (claim := await store.archive.claim_due(now_ms=5, limit=10)).traces:
        taken.append([trace.trace_id for trace in claim.traces])
        await claim.settle([False] * len(claim.traces))
    await claim.abandon()
    assert taken == [["a"], ["b"], ["c"], ["d"]]


async def test_expiry_deletes_what_is_old_and_settled_in_chunks(store: Store) -> None:
    old = [piece(f"old{number}", "a") for number in range(5)]
    await store.archive.add(old, now_ms=10, due_ms=10)
    claim = await store.archive.claim_due(now_ms=10, limit=10)
    await claim.settle([False] * 5)
    await store.archive.add([piece("waiting", "a")], now_ms=10, due_ms=10)
    await store.archive.add([piece("old0", "b")], now_ms=100, due_ms=100)  # young again
    claim = await store.archive.claim_due(now_ms=100, limit=10)
    await claim.settle([t.trace_id == "old0" for t in claim.traces])
    await store.archive.add([piece("waiting", "b")], now_ms=10, due_ms=10)
    deleted = [await store.archive.expire(before_ms=50, limit=3) for _ in range(3)]
    assert deleted == [3, 1, 0]
    totals = await store.reader.totals()
    assert (totals.traces, totals.pieces, totals.failures) == (2, 4, 1)


async def test_an_expired_trace_that_gets_a_piece_is_a_new_trace(store: Store) -> None:
    await store.archive.add([piece("t", "a")], now_ms=10, due_ms=10)
    claim = await store.archive.claim_due(now_ms=10, limit=10)
    await claim.settle([True])
    assert await store.archive.expire(before_ms=50, limit=10) == 1
    await store.archive.add([piece("t", "b")], now_ms=60, due_ms=60)
    (trace,) = await due(store)
    assert (trace.revision, trace.failed, len(trace.pieces)) == (1, False, 1)


async def test_writers_workers_and_expiry_at_once_lose_nothing(
    another_store: Callable[[], Store],
) -> None:
    """Every trace is settled with all its pieces, whoever adds, takes or deletes at the time."""
    writer, worker, janitor = another_store(), another_store(), another_store()
    seen: dict[str, int] = {}
    done = asyncio.Event()

    async def write(number: int) -> None:
        for step in range(8):
            batch = [piece(f"t{(number + k) % 30}", f"{number}.{step}.{k}") for k in range(30)]
            await writer.archive.add(batch, now_ms=step, due_ms=0)

    async def work() -> None:
        while True:
            over = done.is_set()
            claim = await worker.archive.claim_due(now_ms=5, limit=7)
            for trace in claim.traces:
                seen[trace.trace_id] = len(trace.pieces)
            await claim.settle([False] * len(claim.traces))
            if over and not claim.traces:
                return

    async def expire() -> None:
        while not done.is_set():
            await janitor.archive.expire(before_ms=-1, limit=10)
            await asyncio.sleep(0.01)

    async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        tasks.create_task(expire())
        await asyncio.gather(*(write(number) for number in range(4)))
        done.set()
    assert seen == {f"t{number}": 32 for number in range(30)}


bodies = st.one_of(
    st.binary(max_size=2000),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(1, 500)),
)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


@given(body=bodies, trace_id=ids)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_bodies_and_ids_come_back_as_they_were(
    store: Store, body: bytes, trace_id: str
) -> None:
    """Whatever a client calls its trace, and whether or not the body could be packed."""
    one = ArchivedPiece(derive_id(trace_id, body), trace_id, "e", "trace/1", body)
    new = await store.archive.add([one], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=1000)
    await claim.settle([False] * len(claim.traces))
    assert [trace.pieces for trace in claim.traces] == [(one,)] * new
