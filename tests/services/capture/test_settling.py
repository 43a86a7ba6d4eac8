import asyncio
from typing import Any

import msgspec
import pytest

from capture.events import FeedbackReceived
from capture.scoring.endings import INCOMPLETE
from capture.trace import Signal
from services.intake import Intake
from services.scorer import Scoring
from services.settling import Settling
from services.stream import envelope
from services.stream.outcome import Skip

STARS = Signal(name="user_stars", value=0, source="user")
ROOT, CHILD, LATE = ("aa", None, 2.0), ("bb", "aa", 1.5), ("cc", "aa", 1.7)


async def test_a_trace_is_due_once_it_has_been_quiet_for_the_settle_time(
    intake: Intake, clock: Any, settling: Settling, trace: Any, feedback: Any
) -> None:
    await intake.handle([trace()])
    clock.ms += 4_000
    await intake.handle([feedback()])
    clock.ms += 4_999
    assert not await settling.fetch(limit=10, wait_seconds=0)
    clock.ms += 1
    (record,) = await settling.fetch(limit=10, wait_seconds=0)
    assert envelope.decode(record).trace_id == "t1"


async def test_a_trace_that_passed_is_settled_and_not_handed_out_again(
    intake: Intake, row: Any, clock: Any, turn: Any, trace: Any
) -> None:
    await intake.handle([trace()])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    assert await turn() == []
    found = await row()
    assert (found.state, found.truncated, found.scored_ms) == ("passed", False, clock.ms)


# --- when everything is there ---


async def test_spans_wait_for_their_root_however_quiet_it_is(
    intake: Intake, row: Any, clock: Any, turn: Any, spans: Any
) -> None:
    """Looked at once, then not before something comes or the limit is there."""
    await intake.handle([spans(CHILD)])
    clock.ms += 5_000
    assert await turn() == [Skip("waiting")]
    clock.ms += 60_000
    assert await turn() == []
    assert (await row()).state == "waiting"
    await intake.handle([spans(ROOT)])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    assert (await row()).truncated is False


async def test_a_root_that_has_only_begun_is_waited_for(
    intake: Intake, clock: Any, turn: Any, spans: Any
) -> None:
    await intake.handle([spans(("aa", None, 0.0), CHILD)])
    clock.ms += 5_000
    assert await turn() == [Skip("waiting")]
    await intake.handle([spans(ROOT)])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]


@pytest.mark.parametrize("parent", ["gone", "bb"])
async def test_a_trace_without_a_root_is_scored_at_its_age_limit_as_truncated(
    intake: Intake,
    row: Any,
    clock: Any,
    turn: Any,
    spans: Any,
    feedback: Any,
    parent: str,
    failures: Any,
) -> None:
    """Its parents are elsewhere, or go in a circle."""
    await intake.handle([spans(("bb", parent, 2.0)), feedback()])
    clock.ms += 5_000
    assert await turn() == [Skip("waiting")]
    clock.ms += 3_594_999
    assert await turn() == []
    clock.ms += 1
    (failure,) = failures(await turn())
    assert failure.trace.metadata[INCOMPLETE] is True
    assert (await row()).truncated is True


async def test_a_trace_that_never_goes_quiet_is_scored_at_its_age_limit_as_truncated(
    intake: Intake, row: Any, clock: Any, turn: Any, spans: Any
) -> None:
    await intake.handle([spans(ROOT)])
    for number in range(900):
        clock.ms += 4_000
        await intake.handle([spans((f"s{number}", "aa", 1.0))])
        if number < 899:
            continue
        assert await turn() == [Skip("passed")]
    assert (await row()).truncated is True
    # and what still comes is scored in its time, not at once
    clock.ms += 4_000
    await intake.handle([spans(("later", "aa", 1.0))])
    assert await turn() == []
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    assert (await row()).truncated is False


async def test_a_trace_that_was_complete_while_nobody_looked_is_not_truncated(
    intake: Intake, row: Any, clock: Any, turn: Any, spans: Any
) -> None:
    """The service was down for longer than the age limit."""
    await intake.handle([spans(ROOT, CHILD)])
    clock.ms += 7_200_000
    assert await turn() == [Skip("passed")]
    assert (await row()).truncated is False


async def test_late_feedback_on_a_truncated_trace_does_not_wait_for_the_limit_again(
    intake: Intake, clock: Any, turn: Any, spans: Any, feedback: Any, failures: Any
) -> None:
    await intake.handle([spans(CHILD)])
    clock.ms += 3_600_000
    assert await turn() == [Skip("passed")]
    await intake.handle([feedback()])
    clock.ms += 5_000
    assert len(failures(await turn())) == 1


async def test_a_trace_of_nothing_but_feedback_is_not_looked_at_again(
    intake: Intake, clock: Any, turn: Any, trace: Any, feedback: Any, failures: Any
) -> None:
    await intake.handle([feedback()])
    clock.ms += 5_000
    assert await turn() == [Skip("archived")]
    clock.ms += 7_200_000
    assert await turn() == []
    await intake.handle([trace()])
    clock.ms += 5_000
    assert len(failures(await turn())) == 1


# --- what comes late ---


async def test_late_feedback_makes_a_failure_of_a_trace_that_had_passed(
    intake: Intake, row: Any, clock: Any, turn: Any, trace: Any, feedback: Any, failures: Any
) -> None:
    await intake.handle([trace()])
    clock.ms += 5_000
    assert failures(await turn()) == []
    await intake.handle([feedback()])
    clock.ms += 5_000
    (failure,) = failures(await turn())
    assert failure.trace.signals == (feedback().signal,)
    assert (await row()).failing == ("thumbs (feedback)",)


async def test_a_late_span_is_attached_and_a_trace_that_passed_still_passes(
    intake: Intake, row: Any, clock: Any, turn: Any, spans: Any
) -> None:
    await intake.handle([spans(ROOT, CHILD)])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    await intake.handle([spans(LATE)])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    assert (await row()).pieces == 2


async def test_a_failure_is_emitted_again_only_for_a_signal_that_did_not_fail_before(
    intake: Intake, row: Any, clock: Any, turn: Any, trace: Any, feedback: Any, failures: Any
) -> None:
    """Under the same event id: it is the same failure, of which more is known."""
    await intake.handle([trace(), feedback()])
    clock.ms += 5_000
    (first,) = failures(await turn())
    # nothing new speaks against it
    await intake.handle([feedback("t1", Signal(name="note", value="hm", source="user"))])
    clock.ms += 5_000
    assert await turn() == [Skip("already_failed")]
    await intake.handle([feedback("t1", STARS)])
    clock.ms += 5_000
    (second,) = failures(await turn())
    assert second.event_id == first.event_id
    assert len(second.signals) == 2
    found = await row()
    assert (found.state, found.failing) == (
        "failed",
        ("thumbs (feedback)", "user_stars (feedback)"),
    )


async def test_a_failure_is_not_withdrawn(
    intake: Intake, row: Any, clock: Any, turn: Any, trace: Any, failures: Any
) -> None:
    """A user who changes their mind makes the trace pass; what was emitted stays."""
    down, up = (
        FeedbackReceived(
            event_id=f"f{value}",
            project="shop",
            trace_id="t1",
            signal=Signal(name="thumbs", value=value, source="user", id="one"),
        )
        for value in (False, True)
    )
    await intake.handle([trace(), down])
    clock.ms += 5_000
    assert len(failures(await turn())) == 1
    await intake.handle([up])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    assert ((await row()).state, (await row()).drop_ms) == ("failed", None)


async def test_a_piece_that_comes_while_its_trace_is_scored_makes_it_due_again(
    intake: Intake,
    clock: Any,
    settling: Settling,
    scoring: Scoring,
    turn: Any,
    trace: Any,
    feedback: Any,
    failures: Any,
) -> None:
    await intake.handle([trace()])
    clock.ms += 5_000
    records = await settling.fetch(limit=10, wait_seconds=0)
    await intake.handle([feedback()])
    await scoring.handle([envelope.decode(record) for record in records])
    await settling.commit(records)
    clock.ms += 5_000
    assert len(failures(await turn())) == 1


# --- workers that die, and other workers ---


async def test_what_was_fetched_and_not_committed_is_handed_out_again_as_it_was(
    intake: Intake,
    row: Any,
    clock: Any,
    settling: Settling,
    scoring: Scoring,
    trace: Any,
    feedback: Any,
    failures: Any,
) -> None:
    """Between the verdict and the commit the failure may not have been published."""
    await intake.handle([trace(), feedback()])
    clock.ms += 5_000
    first = [envelope.decode(one) for one in await settling.fetch(limit=10, wait_seconds=0)]
    one = failures(await scoring.handle(first))
    again = [envelope.decode(one) for one in await settling.fetch(limit=10, wait_seconds=0)]
    assert again == first
    assert (await row()).state == "waiting"
    assert failures(await scoring.handle(again)) == one
    await settling.commit([])
    assert (await row()).state == "failed"
    await settling.commit([])


async def test_what_the_loop_parked_is_left_out_and_says_so(
    intake: Intake, row: Any, clock: Any, settling: Settling, trace: Any
) -> None:
    """There is no verdict on what could not be handled."""
    await intake.handle([trace()])
    clock.ms += 5_000
    await settling.commit(await settling.fetch(limit=10, wait_seconds=0))
    found = await row()
    assert (found.state, found.why) == ("left_out", "dead_letter")


async def test_two_workers_never_have_the_same_trace_in_hand(
    intake: Intake, clock: Any, settling: Settling, make_settling: Any, trace: Any
) -> None:
    other = make_settling()
    await intake.handle([trace(f"t{n}") for n in range(3)])
    clock.ms += 5_000
    mine = await settling.fetch(limit=2, wait_seconds=0)
    theirs = await other.fetch(limit=2, wait_seconds=0)
    assert (len(mine), len(theirs)) == (2, 1)
    await settling.close()
    assert len(await other.fetch(limit=10, wait_seconds=0)) == 3


async def test_a_record_has_the_same_place_after_a_restart_and_another_after_a_new_piece(
    intake: Intake, clock: Any, settling: Settling, make_settling: Any, trace: Any, feedback: Any
) -> None:
    """Attempts are counted by place: a trace that kills the process must be known again."""
    await intake.handle([trace()])
    clock.ms += 5_000
    (one,) = await settling.fetch(limit=1, wait_seconds=0)
    await settling.close()
    after = make_settling()
    (same,) = await after.fetch(limit=1, wait_seconds=0)
    await after.close()
    assert (one.topic, one.partition, one.offset) == (same.topic, same.partition, same.offset)
    await intake.handle([feedback()])
    clock.ms += 5_000
    (other,) = await settling.fetch(limit=1, wait_seconds=0)
    assert other.offset != one.offset


async def test_a_fetch_waits_for_a_trace_to_become_due(
    intake: Intake, clock: Any, make_settling: Any, trace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.settling._POLL_SECONDS", 0.001)
    await intake.handle([trace()])

    def advance() -> int:
        clock.ms += 1_000
        return int(clock.ms)

    assert len(await make_settling(advance).fetch(limit=1, wait_seconds=30)) == 1


# --- whatever comes ---


async def test_a_trace_of_a_hundred_thousand_spans_is_scored_and_others_are_not_held_up(
    intake: Intake, row: Any, clock: Any, turn: Any, spans: Any, trace: Any
) -> None:
    """In requests of a thousand; put together off the event loop."""
    await intake.handle([spans(ROOT, trace_id="big")])
    for start in range(0, 100_000, 1000):
        told = [(f"{start + number:016x}", "aa", 1.0) for number in range(1000)]
        piece = spans(*told, trace_id="big")
        named = msgspec.structs.replace(piece, event_id=f"spans-{start}")
        await intake.handle([named])
    await intake.handle([trace("small")])
    clock.ms += 5_000
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    outcomes = await turn()
    ticking.cancel()
    assert sorted(outcomes, key=repr) == [Skip("passed"), Skip("passed")]
    assert ticks > 100, "the event loop stood still"
    assert (await row("big")).pieces == 101
