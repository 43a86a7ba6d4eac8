from collections.abc import Callable
from typing import Any

from dedup.events import Assigned
from grade.events import Grade, Graded
from services.grader import Grader
from services.stream.outcome import Emit

Make = Callable[..., Assigned]


async def test_every_event_of_a_batch_is_graded_in_order(
    grade_store: Any, make_assigned: Make
) -> None:
    batch = [
        make_assigned("t1", severity="critical"),
        make_assigned("t2", project="bank", severity="low"),
        make_assigned("t3", decided_by="embedding", nearest_distance=0.2),
    ]
    grader = Grader(grade_store)
    await grader.ready()
    outcomes = await grader.handle(batch)
    events = [one.event for one in outcomes if isinstance(one, Emit)]
    graded = [one for one in events if isinstance(one, Graded)]
    assert [one.assigned for one in graded] == batch
    assert [one.grade.weight for one in graded] == [1.0, 0.25, 0.15]


async def test_an_event_that_comes_again_graver_is_graded_again(
    grade_store: Any, make_assigned: Make
) -> None:
    """More was learnt of the trace: its failure comes again under the same id."""
    grader = Grader(grade_store)
    await grader.handle([make_assigned("t1", severity="medium")])
    graver = make_assigned("t1", severity="critical")
    (outcome,) = await grader.handle([graver])
    assert isinstance(outcome, Emit)
    assert isinstance(outcome.event, Graded)
    assert (outcome.event.grade.severity, outcome.event.grade.weight) == ("critical", 1.0)


async def test_an_event_that_was_graded_before_keeps_its_grade(
    grade_store: Any, make_assigned: Make
) -> None:
    """Rules change between versions; what was said about an event does not."""
    earlier = Grade(severity="high", weight=0.1, components={"severity": 0.1})
    grade_store.grades["shop", "event-t1"] = earlier
    one = make_assigned("t1")
    outcomes = await Grader(grade_store).handle([one, one])
    assert outcomes == [Emit(Graded(assigned=one, grade=earlier))] * 2
