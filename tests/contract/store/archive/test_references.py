"""Feedback whose sender knew only a span or a session."""

from collections.abc import Callable
from typing import Any

import pytest

from services.archive import Settled, Verdict
from services.store.chunks import CHUNK_MS
from services.store.open import Store

SPAN = "00f067aa0ba902b7"
OF_SESSION = Verdict(state="passed", session_id="s1")


@pytest.fixture
def on_span(piece: Any) -> Callable[..., Any]:
    """Feedback on a span."""
    return lambda span=SPAN, event="f", project="shop": piece(
        f"span:{span}", event, b"thumbs", project, names="span"
    )


@pytest.fixture
def on_session(piece: Any) -> Callable[..., Any]:
    """Feedback on a session."""
    return lambda session="s1", event="f": piece(
        f"session:{session}", event, b"thumbs", names="session"
    )


@pytest.mark.parametrize("span", [SPAN, "ffffffffffffffff", "run-7", "é" * 30])
async def test_feedback_on_a_span_goes_to_its_trace(
    store: Store, piece: Any, due: Any, settle: Any, on_span: Any, span: str
) -> None:
    await store.archive.add([piece("t", "a", spans=("other", span))], now_ms=1, due_ms=1)
    await settle(await store.archive.claim_due(now_ms=5, limit=10))
    assert await store.archive.add([on_span(span)], now_ms=6, due_ms=7) == 1
    (trace,) = await due()
    assert (trace.trace_id, [one.event_id for one in trace.pieces]) == ("t", ["a", "f"])
    assert trace.pieces[1].trace_id == "t"


async def test_feedback_and_span_of_one_batch_find_each_other(
    store: Store, piece: Any, due: Any, on_span: Any
) -> None:
    both = [on_span(), piece("t", "a", spans=(SPAN,))]
    assert await store.archive.add(both, now_ms=1, due_ms=1) == 2
    (trace,) = await due()
    assert [one.event_id for one in trace.pieces] == ["a", "f"]


async def test_feedback_that_comes_before_its_span_waits_and_is_joined_once(
    store: Store, piece: Any, due: Any, on_span: Any
) -> None:
    assert await store.archive.add([on_span(), on_span(event="g")], now_ms=1, due_ms=1) == 2
    assert await store.archive.add([on_span()], now_ms=1, due_ms=1) == 0
    assert await due() == [], "there is nothing to score yet"
    (waiting,) = await store.traces.find(f"span:{SPAN}", project=None)
    assert (waiting.state, waiting.pieces) == ("waiting", 2)
    await store.archive.add([piece("t", "a", spans=(SPAN,))], now_ms=2, due_ms=3)
    (trace,) = await due()
    assert (trace.trace_id, [one.event_id for one in trace.pieces]) == ("t", ["a", "f", "g"])
    assert await store.traces.find(f"span:{SPAN}", project=None) == []
    assert await store.archive.add([on_span()], now_ms=4, due_ms=5) == 0, "it came before"


async def test_a_span_of_another_project_is_another_span(
    store: Store, piece: Any, due: Any, on_span: Any
) -> None:
    await store.archive.add([piece("t", "a", spans=(SPAN,))], now_ms=1, due_ms=1)
    await store.archive.add([on_span(project="bank")], now_ms=1, due_ms=1)
    await store.archive.add([piece("u", "a", spans=(SPAN,))], now_ms=1, due_ms=1)
    assert {t.trace_id: len(t.pieces) for t in await due()} == {"t": 1, "u": 1}


async def test_a_span_is_found_in_an_older_chunk(
    store: Store, piece: Any, due: Any, settle: Any, on_span: Any
) -> None:
    await store.archive.add([piece("t", "a", spans=(SPAN,))], now_ms=1, due_ms=1)
    await settle(await store.archive.claim_due(now_ms=5, limit=10))
    later = 3 * CHUNK_MS
    await store.archive.add([piece("u", "a"), on_span()], now_ms=later, due_ms=later)
    assert {t.trace_id: len(t.pieces) for t in await due(later)} == {"t": 2, "u": 1}


async def test_feedback_on_a_session_goes_to_its_latest_trace(
    store: Store, piece: Any, due: Any, settle: Any, on_session: Any
) -> None:
    for now, name in ((1, "first"), (10, "second")):
        await store.archive.add([piece(name, "a")], now_ms=now, due_ms=now)
    claim = await store.archive.claim_due(now_ms=20, limit=10)
    await settle(claim, Settled(20, 25), first=OF_SESSION, second=OF_SESSION)
    await store.archive.add([on_session()], now_ms=30, due_ms=30)
    (trace,) = await due()
    assert (trace.trace_id, trace.scored, len(trace.pieces)) == ("second", True, 2)


async def test_feedback_on_a_session_waits_until_a_trace_of_it_is_scored(
    store: Store, piece: Any, due: Any, settle: Any, on_session: Any
) -> None:
    await store.archive.add([on_session()], now_ms=1, due_ms=1)
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    assert await due(0) == []
    await settle(await store.archive.claim_due(now_ms=5, limit=10), Settled(5, 10), t=OF_SESSION)
    assert await due(9) == []
    (trace,) = await due(10)
    assert (trace.trace_id, [one.event_id for one in trace.pieces]) == ("t", ["a", "f"])


async def test_feedback_on_sessions_finds_each_its_own_of_many_traces_scored_together(
    store: Store, piece: Any, due: Any, settle: Any
) -> None:
    """One of another project, and one of a session that two of the traces are of."""
    for project, session in (("shop", "s1"), ("bank", "s1"), ("shop", "s3")):
        late = piece(f"session:{session}", f"f-{session}", b"thumbs", project, names="session")
        await store.archive.add([late], now_ms=1, due_ms=1)
    for name in ("a", "b", "c"):
        await store.archive.add([piece(name, name)], now_ms=1, due_ms=1)
    of = {"a": "s1", "b": "s1", "c": "s2"}
    verdicts = {name: Verdict(state="passed", session_id=session) for name, session in of.items()}
    await settle(await store.archive.claim_due(now_ms=5, limit=10), **verdicts)
    assert {(t.project, t.trace_id): len(t.pieces) for t in await due()} == {("shop", "a"): 2}
    for project, session in (("bank", "s1"), ("shop", "s3")):
        (waiting,) = await store.traces.find(f"session:{session}", project=project)
        assert waiting.state == "waiting"


async def test_what_two_transactions_missed_of_each_other_is_joined_when_the_archive_is_tidied(
    another_store: Callable[[], Store],
    store: Store,
    piece: Any,
    due: Any,
    on_span: Any,
    on_session: Any,
    settle: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each looks for the other before that has committed."""
    with monkeypatch.context() as blind:
        blind.setattr("services.store.archive.awaited_spans", lambda *_: ())
        blind.setattr("services.store.claims.awaited_sessions", lambda *_: ())
        await store.archive.add([on_span(), on_session()], now_ms=1, due_ms=1)
        other = another_store()
        await other.archive.add([piece("t", "a", spans=(SPAN,))], now_ms=1, due_ms=1)
        await settle(await other.archive.claim_due(now_ms=5, limit=10), t=OF_SESSION)
    assert await store.archive.rejoin(now_ms=6, due_ms=7) == 2
    (trace,) = await due()
    assert (trace.trace_id, len(trace.pieces)) == ("t", 3 - 1), "the same event id, once"
    assert await store.archive.rejoin(now_ms=6, due_ms=7) == 0


async def test_a_trace_is_found_by_the_id_of_a_span_in_it(store: Store, piece: Any) -> None:
    """An SRE has the span's id from another tool."""
    await store.archive.add([piece("t", "a", spans=(SPAN,))], now_ms=1, due_ms=1)
    assert [row.trace_id for row in await store.traces.find(SPAN, project=None)] == ["t"]
    assert await store.traces.find(SPAN, project="bank") == []
    assert await store.traces.find("", project=None) == []
