"""`services.archive.Archive.add`: every piece is kept, once, under its trace."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.ids import derive_id
from services.archive import ArchivedPiece, Settled, Verdict
from services.store.chunks import CHUNK_MS
from services.store.open import Store

PASSED = Verdict(state="passed")


async def test_a_trace_comes_back_with_its_pieces_in_order_of_arrival(
    store: Store, piece: Any, due: Any
) -> None:
    pieces = [piece("t", name, name.encode()) for name in ("z", "a", "m")]
    assert await store.archive.add(pieces[:2], now_ms=10, due_ms=20) == 2
    assert await store.archive.add(pieces[2:], now_ms=11, due_ms=21) == 1
    (trace,) = await due()
    assert (trace.project, trace.trace_id, trace.revision) == ("shop", "t", 3)
    assert trace.pieces == tuple(pieces)


async def test_a_piece_is_kept_once(store: Store, piece: Any, due: Any) -> None:
    """Redelivery, in a batch or in a later one, changes nothing, not even when a trace is due."""
    first = piece("t", "a", b"first")
    assert await store.archive.add([first, piece("t", "a", b"other")], now_ms=1, due_ms=10) == 1
    assert await store.archive.add([piece("t", "a", b"third")], now_ms=1, due_ms=5000) == 0
    both = [piece("t", "a", b"fourth"), piece("t", "b")]
    assert await store.archive.add(both, now_ms=1, due_ms=20) == 1
    (trace,) = await due()
    assert trace.pieces == (first, piece("t", "b"))
    assert trace.revision == 2


async def test_the_same_trace_id_in_two_projects_is_two_traces(
    store: Store, piece: Any, due: Any
) -> None:
    both = [piece("t", "a", b"1", "shop"), piece("t", "a", b"2", "bank")]
    assert await store.archive.add(both, now_ms=1, due_ms=1) == 2
    assert [(t.project, t.pieces[0].body) for t in await due()] == [("bank", b"2"), ("shop", b"1")]


async def test_a_new_piece_puts_its_trace_off(store: Store, piece: Any, due: Any) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=10)
    await store.archive.add([piece("t", "b")], now_ms=9, due_ms=19)
    assert await due(18) == []
    assert len(await due(19)) == 1


async def test_a_trace_that_never_goes_quiet_is_due_at_its_limit(
    store: Store, piece: Any, due: Any
) -> None:
    """The limit is that of the first piece; later ones do not move it."""
    for now in (0, 4, 8, 12):
        new = piece("t", f"at {now}")
        await store.archive.add([new], now_ms=now, due_ms=now + 5, until_ms=now + 14)
    assert await due(13) == []
    (trace,) = await due(14)
    assert (trace.until_ms, trace.last_ms, trace.scored) == (14, 12, False)


async def test_the_limit_counts_anew_once_a_trace_was_scored(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    await store.archive.add([piece("t", "a")], now_ms=0, due_ms=5, until_ms=14)
    await settle(await store.archive.claim_due(now_ms=5, limit=1))
    await store.archive.add([piece("t", "b")], now_ms=100, due_ms=105, until_ms=114)
    (trace,) = await due(105)
    assert (trace.until_ms, trace.scored) == (114, True)


async def test_again_makes_a_trace_due_without_a_new_piece(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    await settle(await store.archive.claim_due(now_ms=5, limit=10))
    assert await store.archive.add([piece("t", "a")], now_ms=6, due_ms=7, again=True) == 0
    assert [(trace.trace_id, trace.scored) for trace in await due()] == [("t", False)]


async def test_again_gives_a_trace_that_counted_as_failed_another_chance(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    """Its failure may have been a dead letter that is being replayed: it must not be skipped."""
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    failed = Verdict(state="failed", failing=("latency",))
    await settle(await store.archive.claim_due(now_ms=5, limit=10), t=failed, u=failed)
    await store.archive.add([piece("t", "a")], now_ms=6, due_ms=7, again=True)
    await store.archive.add([piece("u", "b")], now_ms=6, due_ms=7)
    assert {trace.trace_id: trace.failing for trace in await due()} == {"t": (), "u": ("latency",)}


async def test_again_is_not_overlooked_by_a_claim_in_hand(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await store.archive.add([piece("t", "a")], now_ms=6, due_ms=7, again=True)
    await settle(claim)
    assert len(await due()) == 1


async def test_a_trace_is_scored_again_by_its_name(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    """What is too large for a dead letter is replayed from the archive alone."""
    await store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    assert await store.archive.rescore("shop", "t", due_ms=7)
    await settle(claim)
    (trace,) = await due()
    assert (trace.trace_id, trace.revision, len(trace.pieces)) == ("t", 2, 1)
    assert not await store.archive.rescore("shop", "nobody", due_ms=7)


async def test_a_trace_that_failed_is_still_kept_when_it_passes_once_more(
    store: Store, piece: Any, settle: Any
) -> None:
    """Scored again with another policy: its failure was emitted all the same."""
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    failed = Verdict(state="failed", failing=("x",))
    await settle(await store.archive.claim_due(now_ms=5, limit=10), t=failed)
    await store.archive.rescore("shop", "t", due_ms=5)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    assert [trace.failing for trace in claim.traces] == [()]
    await settle(claim, t=Verdict(state="passed", drop_ms=10))
    assert await store.archive.expire(now_ms=20, before_ms=0) == 0
    (row,) = await store.traces.find("t", project=None)
    assert (row.state, row.failing, row.drop_ms) == ("failed", (), None)


async def test_a_late_piece_goes_to_the_chunk_of_its_trace(
    store: Store, piece: Any, due: Any
) -> None:
    """So that a trace is read from one table, and expires as a whole."""
    await store.archive.add([piece("t", "a")], now_ms=10, due_ms=10)
    both = [piece("t", "b"), piece("u", "a")]
    await store.archive.add(both, now_ms=CHUNK_MS + 10, due_ms=CHUNK_MS + 10)
    assert {t.trace_id: len(t.pieces) for t in await due(CHUNK_MS + 10)} == {"t": 2, "u": 1}
    assert (await store.traces.size()).chunks == 2
    (old,) = await store.traces.find("t", project=None)
    (new,) = await store.traces.find("u", project=None)
    assert (old.chunk_end_ms, new.chunk_end_ms) == (CHUNK_MS, 2 * CHUNK_MS)


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
    await claim.settle([PASSED] * len(claim.traces), Settled(5, 6))
    assert [trace.pieces for trace in claim.traces] == [(one,)] * new


@pytest.mark.parametrize("size", [0, 255, 256, 1 << 20])
async def test_bodies_of_every_size_are_read_back(
    store: Store, piece: Any, due: Any, size: int
) -> None:
    body = (b'{"text": "the parcel never came"}' * (size // 33 + 1))[:size]
    await store.archive.add([piece("t", "a", body)], now_ms=1, due_ms=1)
    (trace,) = await due()
    assert trace.pieces[0].body == body
