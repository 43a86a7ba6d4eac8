from typing import Any

import msgspec
import pytest

from capture.events import PieceBody, TraceSettled
from capture.trace import Signal
from services.archive import ArchivedPiece
from services.errors import Unavailable, Undecodable
from services.intake import Intake, received
from services.store.open import Store
from services.stream import envelope
from services.stream.outcome import DeadLetter, Skip
from services.stream.port import Record

SPAN = "00f067aa0ba902b7"


async def test_every_piece_is_archived_under_its_trace(
    intake: Intake, store: Store, trace: Any, spans: Any, feedback: Any
) -> None:
    events = [trace(), spans((SPAN, None, 2)), feedback(), trace(project="bank")]
    await intake.ready()
    assert await intake.handle(events) == [Skip("archived")] * 4
    pieces = await store.traces.pieces_of("shop", "t1")
    assert [piece.schema for piece in pieces] == ["trace/1", "spans/1", "feedback/1"]
    (kept,) = await store.traces.pieces_of("bank", "t1")
    assert envelope.decode_body(kept.schema, kept.body) == events[3]


async def test_a_piece_that_is_delivered_again_keeps_a_trace_waiting_no_longer(
    intake: Intake, row: Any, clock: Any, trace: Any
) -> None:
    """A client that posts the same for ever would else never see its trace scored."""
    await intake.handle([trace()])
    due = (await row()).due_ms
    clock.ms += 4_000
    await intake.handle([trace(), trace()])
    assert ((await row()).due_ms, (await row()).pieces) == (due, 1)


class _Broken:
    async def add(self, *_: Any, **__: Any) -> int:
        message = "the store is down"
        raise Unavailable(message)


async def test_an_archive_that_is_down_is_told_to_the_loop(clock: Any) -> None:
    intake = Intake(_Broken(), settle_seconds=5, clock_ms=clock)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await intake.handle([ArchivedPiece("shop", "t1", "e1", "trace/1", b"{}")])


def test_a_piece_is_kept_with_the_bytes_it_came_in() -> None:
    """A field that a newer version wrote is not lost by passing through this one."""
    body = b'{"event_id":"e1","trace":{"trace_id":"t1","project":"shop","new":1}, "too":[2]}'
    record = Record("traces", 0, 7, b"shop/t1", body, (("schema", b"trace/1"),), 0)
    assert received(record) == ArchivedPiece("shop", "t1", "e1", "trace/1", body)


def test_a_piece_that_nobody_can_read_does_not_reach_the_archive() -> None:
    body = b'{"event_id":"e1","project":"shop","trace_id":"t1","spans":[{"span_id":7}]}'
    record = Record("traces", 0, 7, b"shop/t1", body, (("schema", b"spans/1"),), 0)
    with pytest.raises(Undecodable, match="span_id"):
        received(record)


async def test_feedback_on_a_span_goes_to_the_trace_with_that_span(
    intake: Intake, store: Store, spans: Any, feedback: Any
) -> None:
    """Whichever comes first."""
    early = feedback(f"span:{SPAN}", span_id=SPAN)
    late = feedback(f"span:{SPAN}", Signal(name="stars", value=1, source="user"), span_id=SPAN)
    for batch in ([early], [spans(("aaaaaaaaaaaaaaaa", None, 2), (SPAN, "a", 2))], [late]):
        await intake.handle(batch)
    pieces = await store.traces.pieces_of("shop", "t1")
    assert [piece.event_id for piece in pieces][1:] == [early.event_id, late.event_id]


async def test_feedback_that_names_its_trace_beside_the_span_needs_no_looking_up(
    intake: Intake, store: Store, feedback: Any
) -> None:
    await intake.handle([feedback("t1", span_id=SPAN), feedback("span:odd")])
    assert len(await store.traces.pieces_of("shop", "t1")) == 1
    assert len(await store.traces.pieces_of("shop", "span:odd")) == 1


async def test_a_replayed_trace_is_due_again_with_all_its_pieces(
    intake: Intake,
    row: Any,
    clock: Any,
    turn: Any,
    trace: Any,
    feedback: Any,
    settled: Any,
    failures: Any,
) -> None:
    """What was parked whole comes back whole, whether the archive still has it or not."""
    parked = settled(trace("t1"), feedback("t1"))
    outcomes = await intake.handle([parked, trace("t2")])
    assert outcomes == [Skip("archived")] * 2
    clock.ms += 5_000
    assert len(failures(await turn())) == 1
    assert (await row("t2")).due_ms is None
    await intake.handle([settled(trace("t2"))])
    clock.ms += 5_000
    assert len(await turn()) == 1
    assert (await row("t2")).pieces == 1


async def test_a_trace_that_was_parked_by_its_name_is_scored_from_the_archive(
    intake: Intake, clock: Any, turn: Any, trace: Any, feedback: Any, failures: Any
) -> None:
    """Once its failure fits: it was too large for the next topic, and for the dead letters' too."""
    await intake.handle([trace("t1"), feedback("t1")])
    clock.ms += 5_000
    await turn()
    named = TraceSettled(event_id="s1", project="shop", trace_id="t1", pieces=())
    gone = TraceSettled(event_id="s2", project="shop", trace_id="expired", pieces=())
    kept, lost = await intake.handle([named, gone])
    assert kept == Skip("archived")
    assert isinstance(lost, DeadLetter)
    clock.ms += 5_000
    assert len(failures(await turn())) == 1


async def test_a_replayed_trace_with_a_piece_nobody_can_read_is_refused(intake: Intake) -> None:
    broken = PieceBody("trace/1", msgspec.Raw(b'{"event_id": 1}'))
    event = TraceSettled(event_id="x", project="shop", trace_id="t1", pieces=(broken,))
    with pytest.raises(Undecodable, match="not a trace/1 event"):
        await intake.handle([event])
