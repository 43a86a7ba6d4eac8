"""`services.archive.Claim`: who has a due trace in hand, and what a verdict leaves behind."""

from collections.abc import Callable
from typing import Any

import pytest

from services.archive import Settled, Verdict
from services.store.open import Store

FAILED = Verdict(state="failed", failing=("latency (latency)",))


async def test_the_longest_due_come_first_and_others_wait(
    store: Store, piece: Any, due: Any
) -> None:
    for name, due_ms in (("late", 30), ("early", 10), ("middle", 20), ("not yet", 2000)):
        await store.archive.add([piece(name, "a")], now_ms=1, due_ms=due_ms)
    assert [trace.trace_id for trace in await due()] == ["early", "middle", "late"]
    assert [trace.trace_id for trace in await due(limit=2)] == ["early", "middle"]


async def test_a_trace_too_large_to_be_read_comes_without_its_pieces(
    store: Store, piece: Any, due: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that a client uses for everything would else fill the memory on every start."""
    monkeypatch.setattr("services.store.claims._TRACE_BYTES", 100)
    pieces = [piece("endless", name, b"x" * 60) for name in ("a", "b")] + [piece("t", "a")]
    await store.archive.add(pieces, now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    assert {t.trace_id: len(t.pieces) for t in claim.traces} == {"endless": 0, "t": 1}
    await settle(claim, endless=Verdict(state="left_out", why="too_large"))
    await store.archive.add([piece("endless", "c")], now_ms=6, due_ms=6)
    (trace,) = await due()
    assert (trace.pieces, trace.unreadable) == ((), True)


async def test_a_settled_trace_is_no_longer_due(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    await store.archive.add([piece("good", "a"), piece("bad", "a")], now_ms=1, due_ms=1)
    await settle(await store.archive.claim_due(now_ms=5, limit=10), bad=FAILED)
    assert await due() == []


async def test_a_late_piece_makes_a_settled_trace_due_and_it_remembers_what_failed(
    store: Store, piece: Any, settle: Any
) -> None:
    await store.archive.add([piece("good", "a"), piece("bad", "a")], now_ms=1, due_ms=1)
    await settle(await store.archive.claim_due(now_ms=5, limit=10), bad=FAILED)
    await store.archive.add([piece("good", "b"), piece("bad", "b")], now_ms=6, due_ms=7)
    claim = await store.archive.claim_due(now_ms=7, limit=10)
    assert [(t.trace_id, t.failing, len(t.pieces)) for t in claim.traces] == [
        ("bad", FAILED.failing, 2),
        ("good", (), 2),
    ]


async def test_a_piece_that_comes_while_its_trace_is_in_hand_keeps_it_due(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    """Adding neither waits for the claim nor is overlooked by it; the limit begins anew."""
    both = [piece("t", "a"), piece("u", "a")]
    await store.archive.add(both, now_ms=1, due_ms=1, until_ms=4)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await store.archive.add([piece("t", "b")], now_ms=6, due_ms=6, until_ms=9)
    await settle(claim, Settled(7, 12, 17), t=FAILED)
    assert await due(11) == []
    (trace,) = await due(12)
    assert (trace.trace_id, trace.failing, len(trace.pieces), trace.until_ms) == (
        "t",
        FAILED.failing,
        2,
        17,
    )


async def test_a_waiting_trace_is_looked_at_again_at_its_limit_and_not_before(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    both = [piece("root missing", "a"), piece("feedback alone", "a")]
    await store.archive.add(both, now_ms=1, due_ms=5, until_ms=100)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await claim.settle(
        [
            Verdict(state="waiting", look_again=trace.trace_id == "root missing")
            for trace in claim.traces
        ],
        Settled(5, 10),
    )
    assert await due(99) == []
    (trace,) = await due(100)
    assert (trace.trace_id, trace.scored) == ("root missing", False)


async def test_a_waiting_trace_that_gets_a_piece_is_looked_at_when_it_is_quiet(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=5, until_ms=100)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    await settle(claim, t=Verdict(state="waiting", look_again=True))
    await store.archive.add([piece("t", "root")], now_ms=20, due_ms=25, until_ms=120)
    (trace,) = await due(25)
    assert (len(trace.pieces), trace.until_ms) == (2, 100), "the limit is the first piece's"


async def test_two_claims_never_share_a_trace(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    names = [f"t{number:03}" for number in range(50)]
    await store.archive.add([piece(name, "a") for name in names], now_ms=1, due_ms=1)
    claims = [await store.archive.claim_due(now_ms=5, limit=20) for _ in range(4)]
    taken = [trace.trace_id for claim in claims for trace in claim.traces]
    assert sorted(taken) == names
    for claim in claims:
        await settle(claim)
    assert await due() == []


async def test_an_abandoned_trace_is_still_due(store: Store, piece: Any, due: Any) -> None:
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    assert await due() == [], "in hand"
    await claim.abandon()
    await claim.abandon()
    assert len(await due()) == 1


async def test_a_claim_that_is_open_when_the_store_closes_is_let_go(
    another_store: Callable[[], Store], piece: Any
) -> None:
    """What a process had in hand when it died is the next one's, whatever it had found."""
    first = another_store()
    await first.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    await first.archive.claim_due(now_ms=5, limit=10)
    await first.close()
    claim = await another_store().archive.claim_due(now_ms=5, limit=10)
    assert [(trace.trace_id, trace.scored) for trace in claim.traces] == [("t", False)]


async def test_a_claim_stays_within_a_bound_of_bytes_but_is_never_empty(
    store: Store, piece: Any, settle: Any
) -> None:
    """A batch of the largest traces must fit in memory."""
    large = b"x" * (9 << 20)
    pieces = [piece(name, "a", large) for name in ("a", "b", "c")]
    await store.archive.add([*pieces, piece("d", "a", large * 3)], now_ms=1, due_ms=1)
    taken = []
    while (claim := await store.archive.claim_due(now_ms=5, limit=10)).traces:
        taken.append([trace.trace_id for trace in claim.traces])
        await settle(claim)
    await claim.abandon()
    assert taken == [["a"], ["b"], ["c"], ["d"]]


async def test_a_verdict_can_be_read_by_the_traces_id(
    store: Store, piece: Any, settle: Any
) -> None:
    await store.archive.add([piece("t", "a", b"12345")], now_ms=1, due_ms=2, until_ms=3)
    verdict = Verdict(
        state="failed",
        truncated=True,
        failing=("thumbs (feedback)", "latency (latency)"),
        problems=("regex/1: boom",),
        session_id="s1",
        policy_version=7,
    )
    (before,) = await store.traces.find("t", project="shop")
    assert (before.state, before.due_ms, before.scored_ms) == ("waiting", 2, None)
    await settle(await store.archive.claim_due(now_ms=5, limit=10), Settled(5, 6), t=verdict)
    (after,) = await store.traces.find("t", project=None)
    assert (after.state, after.truncated, after.failing, after.problems) == (
        "failed",
        True,
        verdict.failing,
        verdict.problems,
    )
    assert (after.session_id, after.policy_version, after.scored_ms) == ("s1", 7, 5)
    assert (after.pieces, after.bytes, after.due_ms) == (1, 5, None)
    assert await store.traces.find("t", project="bank") == []
    assert await store.traces.find("t\x00", project=None) == []


@pytest.mark.parametrize("session", ["a\x00b", "s" * 100_000, "\ud800", " ", ""])
async def test_a_session_that_no_index_can_hold_does_not_keep_its_trace_from_being_settled(
    store: Store, piece: Any, due: Any, settle: Any, session: str
) -> None:
    """Senders choose it. Nobody could name it in feedback either."""
    await store.archive.add([piece("a", "e")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=1000, limit=10)
    await settle(claim, a=Verdict(state="failed", failing=("f",), session_id=session))
    assert await due() == []
    (row,) = await store.traces.find("a", project="shop")
    assert (row.state, row.session_id) == ("failed", None)
