from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from capture.events import (
    Failure,
    FeedbackReceived,
    Piece,
    PieceBody,
    Span,
    SpansReceived,
    TraceReceived,
    TraceSettled,
)
from capture.policy import LatencyScorer, ScoringPolicy
from capture.scorers import GATE_MARKER
from capture.trace import Signal, Trace
from services.errors import Unavailable, Undecodable
from services.examiner import ScorerExaminer
from services.intake import Intake
from services.policy import Policies, Policy
from services.scorer import Scoring
from services.settling import Settling
from services.stream import envelope
from services.stream.outcome import DeadLetter, Emit, Outcome, Skip

NOW = datetime(2026, 1, 2, tzinfo=UTC)
THUMB_DOWN = Signal(name="thumbs", value=False, source="user")


def _trace(trace_id: str = "t1", project: str = "shop", **fields: Any) -> TraceReceived:
    trace = Trace(trace_id=trace_id, project=project, **{"input": "q", "output": "a"} | fields)
    return TraceReceived(event_id=f"piece-{trace_id}", trace=trace)


def _feedback(trace_id: str = "t1", signal: Signal = THUMB_DOWN) -> FeedbackReceived:
    event_id = f"feedback-{trace_id}-{signal.name}-{signal.value}"
    return FeedbackReceived(event_id=event_id, project="shop", trace_id=trace_id, signal=signal)


def _settled(*pieces: Piece, already_failed: bool = False) -> TraceSettled:
    bodies = [
        PieceBody(envelope.schema_of(piece), msgspec.Raw(envelope.encode_body(piece)))
        for piece in pieces
    ]
    return TraceSettled(
        event_id=f"settled-{pieces[0].trace_id}",
        project=pieces[0].project,
        trace_id=pieces[0].trace_id,
        pieces=tuple(bodies),
        already_failed=already_failed,
    )


class _Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def intake(archive: Any, clock: _Clock) -> Intake:
    return Intake(archive, settle_seconds=5, clock_ms=clock)


@pytest.fixture
def settling(archive: Any, clock: _Clock) -> Settling:
    return Settling(archive, "traces", clock_ms=clock)


@pytest.fixture
def scoring(policies: Policies, settling: Settling) -> Scoring:
    return Scoring(policies, ScorerExaminer(), clock=lambda: NOW, on_failed=settling.failed)


async def _due(settling: Settling) -> Sequence[TraceSettled]:
    records = await settling.fetch(limit=10, wait_seconds=0)
    return [envelope.decode(record) for record in records]


async def _turn(settling: Settling, scoring: Scoring) -> Sequence[Outcome]:
    """One turn of the second loop: fetch, decide, commit."""
    records = await settling.fetch(limit=10, wait_seconds=0)
    outcomes = await scoring.handle([envelope.decode(record) for record in records])
    await settling.commit(records)
    return outcomes


def _failures(outcomes: Sequence[Outcome]) -> list[Failure]:
    events = [outcome.event for outcome in outcomes if isinstance(outcome, Emit)]
    return [event for event in events if isinstance(event, Failure)]


# --- Intake -----------------------------------------------------------------------------------


async def test_every_piece_is_archived_under_its_trace(intake: Intake, archive: Any) -> None:
    span = Span(span_id="s1", name="chat")
    spans = SpansReceived(event_id="spans-1", project="shop", trace_id="t1", spans=(span,))
    events = [_trace("t1"), spans, _feedback("t1"), _trace("t1", project="bank")]
    await intake.ready()
    assert await intake.handle(events) == [Skip("archived")] * 4
    assert [piece.schema for piece in archive.pieces["shop", "t1"]] == [
        "trace/1",
        "spans/1",
        "feedback/1",
    ]
    kept = archive.pieces["bank", "t1"][0]
    assert envelope.decode_body(kept.schema, kept.body) == events[3]


async def test_a_trace_is_due_once_it_has_been_quiet_for_the_settle_time(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling
) -> None:
    await intake.handle([_trace("t1")])
    clock.ms += 4_000
    await intake.handle([_feedback("t1")])
    clock.ms += 4_999
    assert not await _due(settling)
    clock.ms += 1
    assert [one.trace_id for one in await _due(settling)] == ["t1"]


async def test_a_piece_that_is_delivered_again_keeps_a_trace_waiting_no_longer(
    intake: Intake, archive: Any, clock: _Clock
) -> None:
    """A client that posts the same for ever would else never see its trace scored."""
    await intake.handle([_trace("t1")])
    due = dict(archive.due_ms)
    clock.ms += 4_000
    await intake.handle([_trace("t1"), _trace("t1")])
    assert archive.due_ms == due
    assert len(archive.pieces["shop", "t1"]) == 1


async def test_an_archive_that_is_down_is_told_to_the_loop(intake: Intake, archive: Any) -> None:
    archive.broken = Unavailable("the store is down")
    with pytest.raises(Unavailable):
        await intake.handle([_trace("t1")])


async def test_a_replayed_trace_is_due_again_with_all_its_pieces(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    """What was parked whole comes back whole, whether the archive still has it or not."""
    parked = _settled(_trace("t1"), _feedback("t1"))
    outcomes = await intake.handle([parked, _trace("t2")])
    assert outcomes == [Skip("archived")] * 2
    clock.ms += 5_000
    assert len(_failures(await _turn(settling, scoring))) == 1
    assert archive.due_ms == {}
    await intake.handle([_settled(_trace("t2"))])
    clock.ms += 5_000
    assert [one.trace_id for one in await _due(settling)] == ["t2"]
    assert len(archive.pieces["shop", "t2"]) == 1


async def test_a_trace_that_was_parked_by_its_name_is_scored_from_the_archive(
    intake: Intake, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    """Once its failure fits: it was too large for the next topic, and for the dead letters' too."""
    await intake.handle([_trace("t1"), _feedback("t1")])
    clock.ms += 5_000
    await _turn(settling, scoring)
    named = TraceSettled(event_id="s1", project="shop", trace_id="t1", pieces=())
    gone = TraceSettled(event_id="s2", project="shop", trace_id="expired", pieces=())
    kept, lost = await intake.handle([named, gone])
    assert kept == Skip("archived")
    assert isinstance(lost, DeadLetter)
    clock.ms += 5_000
    assert len(_failures(await _turn(settling, scoring))) == 1


async def test_a_replayed_trace_with_a_piece_nobody_can_read_is_refused(intake: Intake) -> None:
    broken = PieceBody("trace/1", msgspec.Raw(b'{"event_id": 1}'))
    event = TraceSettled(event_id="x", project="shop", trace_id="t1", pieces=(broken,))
    with pytest.raises(Undecodable, match="not a trace/1 event"):
        await intake.handle([event])


async def test_a_trace_that_cannot_be_read_at_once_is_one_dead_letter(
    scoring: Scoring, settling: Settling
) -> None:
    event = TraceSettled(event_id="s", project="shop", trace_id="endless", pieces=())
    (outcome,) = await scoring.handle([event])
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == "too_large"
    assert settling._failed == {"s"}


# --- Settling ---------------------------------------------------------------------------------


async def test_a_trace_that_passed_is_settled_and_not_handed_out_again(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    await intake.handle([_trace("t1")])
    clock.ms += 5_000
    assert await _turn(settling, scoring) == [Skip("passed")]
    assert await _due(settling) == []
    assert archive.failed == set()


async def test_late_feedback_makes_a_failure_of_a_trace_that_had_passed(
    intake: Intake, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    await intake.handle([_trace("t1")])
    clock.ms += 5_000
    assert _failures(await _turn(settling, scoring)) == []
    await intake.handle([_feedback("t1")])
    clock.ms += 5_000
    (failure,) = _failures(await _turn(settling, scoring))
    assert failure.trace.signals == (THUMB_DOWN,)
    assert failure.failed_at == NOW


async def test_a_trace_fails_once_however_often_it_comes_back(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    await intake.handle([_trace("t1"), _feedback("t1")])
    clock.ms += 5_000
    assert len(_failures(await _turn(settling, scoring))) == 1
    assert archive.failed == {("shop", "t1")}
    await intake.handle([_feedback("t1", Signal(name="stars", value=0, source="user"))])
    clock.ms += 5_000
    assert await _turn(settling, scoring) == [Skip("already_failed")]
    assert archive.failed == {("shop", "t1")}


async def test_a_piece_that_comes_while_its_trace_is_scored_makes_it_due_again(
    intake: Intake, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    await intake.handle([_trace("t1")])
    clock.ms += 5_000
    records = await settling.fetch(limit=10, wait_seconds=0)
    await intake.handle([_feedback("t1")])
    await scoring.handle([envelope.decode(record) for record in records])
    await settling.commit(records)
    clock.ms += 5_000
    assert len(_failures(await _turn(settling, scoring))) == 1


async def test_what_was_fetched_and_not_committed_is_handed_out_again_and_forgotten_as_failed(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling, scoring: Scoring
) -> None:
    """Between the verdict and the commit the failure may not have been published."""
    await intake.handle([_trace("t1"), _feedback("t1")])
    clock.ms += 5_000
    first = await _due(settling)
    assert len(_failures(await scoring.handle(first))) == 1
    again = await _due(settling)
    assert again == first
    assert archive.failed == set()
    await settling.commit([])
    assert archive.failed == set()


async def test_two_workers_never_have_the_same_trace_in_hand(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling
) -> None:
    other = Settling(archive, "traces", clock_ms=clock)
    await intake.handle([_trace(f"t{n}") for n in range(3)])
    clock.ms += 5_000
    mine = await settling.fetch(limit=2, wait_seconds=0)
    theirs = await other.fetch(limit=2, wait_seconds=0)
    assert (len(mine), len(theirs)) == (2, 1)
    await settling.close()
    assert len(await other.fetch(limit=10, wait_seconds=0)) == 3


async def test_a_record_has_the_same_place_after_a_restart_and_another_after_a_new_piece(
    intake: Intake, archive: Any, clock: _Clock, settling: Settling
) -> None:
    """Attempts are counted by place: a trace that kills the process must be known again."""
    await intake.handle([_trace("t1")])
    clock.ms += 5_000
    (one,) = await settling.fetch(limit=1, wait_seconds=0)
    await settling.close()
    (same,) = await Settling(archive, "traces", clock_ms=clock).fetch(limit=1, wait_seconds=0)
    assert (one.topic, one.partition, one.offset) == (same.topic, same.partition, same.offset)
    archive.in_hand.clear()
    await intake.handle([_feedback("t1")])
    clock.ms += 5_000
    (other,) = await settling.fetch(limit=1, wait_seconds=0)
    assert other.offset != one.offset


async def test_a_fetch_waits_for_a_trace_to_become_due(
    intake: Intake, clock: _Clock, settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.settling._POLL_SECONDS", 0.001)
    await intake.handle([_trace("t1")])
    ticking = Settling(settling._archive, "traces", clock_ms=lambda: _advance(clock))
    assert len(await ticking.fetch(limit=1, wait_seconds=30)) == 1


def _advance(clock: _Clock) -> int:
    clock.ms += 1_000
    return clock.ms


# --- Scoring ----------------------------------------------------------------------------------


async def test_a_trace_that_failed_before_is_not_even_read(scoring: Scoring) -> None:
    """Its pieces may be of a schema that only the version that scored it knew."""
    unreadable = PieceBody("trace/99", msgspec.Raw(b"{}"))
    event = TraceSettled(
        event_id="x", project="shop", trace_id="t1", pieces=(unreadable,), already_failed=True
    )
    await scoring.ready()
    assert await scoring.handle([event]) == [Skip("already_failed")]


@pytest.mark.parametrize(
    "marks",
    [
        {"environment": "evaluation"},
        {"environment": " Experiment "},
        {"metadata": {"langfuse.experiment.id": "1"}},
        {"metadata": {GATE_MARKER: "run-7"}},
    ],
)
async def test_evals_never_feed_themselves(scoring: Scoring, marks: dict[str, Any]) -> None:
    assert await scoring.handle([_settled(_trace(**marks), _feedback())]) == [Skip("experiment")]


async def test_feedback_alone_waits_for_its_trace(scoring: Scoring) -> None:
    assert await scoring.handle([_settled(_feedback())]) == [Skip("archived")]


async def test_the_projects_own_bounds_decide(scoring: Scoring, policy_store: Any) -> None:
    scorers = (LatencyScorer(above_ms=100, severity="critical"),)
    policy_store.policies["bank"] = Policy(scoring=ScoringPolicy(scorers=scorers))
    slow = [_settled(_trace(p, p, latency_ms=500)) for p in ("shop", "bank")]
    passed, failed = await scoring.handle(slow)
    assert passed == Skip("passed")
    (failure,) = _failures([failed])
    assert failure.severity == "critical"
    assert failure.signals[0].value == 500


async def test_the_same_failure_has_the_same_id_whenever_it_is_found(scoring: Scoring) -> None:
    """A crash between publishing and settling gives the failure twice: one id, one effect."""
    one, two = (
        await scoring.handle([_settled(_trace(), _feedback())]),
        await scoring.handle([_settled(_trace(), _feedback(), _feedback("t1", THUMB_DOWN))]),
    )
    assert _failures(one)[0].event_id == _failures(two)[0].event_id


async def test_a_piece_that_cannot_be_read_raises_so_that_the_loop_parks_the_trace(
    scoring: Scoring,
) -> None:
    broken = PieceBody("trace/1", msgspec.Raw(b'{"event_id": 1}'))
    event = TraceSettled(event_id="x", project="shop", trace_id="t1", pieces=(broken,))
    with pytest.raises(Undecodable):
        await scoring.handle([event])
