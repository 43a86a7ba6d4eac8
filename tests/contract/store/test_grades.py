"""`services.grader.GradeStore`."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from recording import Recording
from sqlalchemy import select

from capture.events import Severity
from grade.events import Grade
from services.grader import Graduate
from services.store.change_rows import Signed
from services.store.open import Store
from services.store.pattern_split import split
from services.store.tables import grade


def graduate(
    event: str, weight: float, project: str = "shop", severity: Severity = "high"
) -> Graduate:
    grade = Grade(severity=severity, weight=weight, components={"severity": 0.75, "odd": 0.1 + 0.2})
    return Graduate(project, event, "p", grade)


async def test_the_first_grade_of_an_event_stays(store: Store) -> None:
    first, second = graduate("a", 0.1), graduate("a", 0.9)
    assert await store.grades.settle([first]) == {"a": first.grade}
    assert await store.grades.settle([second, graduate("b", 0.5)]) == {
        "a": first.grade,
        "b": graduate("b", 0.5).grade,
    }


async def test_a_graver_grade_replaces_the_one_there_was_and_nothing_lowers_it(
    store: Store,
) -> None:
    """A late thumb down makes a slow answer a bad one; delivering the old event again changes nothing."""
    mild, grave = graduate("a", 0.0, severity="medium"), graduate("a", 0.0, severity="high")
    await store.grades.settle([mild])
    assert await store.grades.settle([grave]) == {"a": grave.grade}
    assert await store.grades.settle([mild]) == {"a": grave.grade}
    assert await store.grades.settle([mild, graduate("b", 0.1)]) == {
        "a": grave.grade,
        "b": graduate("b", 0.1).grade,
    }


async def test_of_two_grades_in_a_batch_one_stays(store: Store) -> None:
    settled = await store.grades.settle([graduate("a", 0.1), graduate("a", 0.9)])
    assert settled == await store.grades.settle([graduate("a", 0.7)])


async def test_a_batch_may_be_of_several_projects_or_empty(store: Store) -> None:
    batch = [graduate("a", 0.1), graduate("b", 0.2, "bank")]
    assert await store.grades.settle(batch) == {"a": batch[0].grade, "b": batch[1].grade}
    assert await store.grades.settle([]) == {}


async def test_workers_at_once_agree(another_store: Callable[[], Store]) -> None:
    handles = another_store(), another_store()

    async def work(worker: int) -> list[Grade]:
        batch = [graduate(f"e{n}", worker / 10) for n in range(40)]
        settled = await handles[worker % 2].grades.settle(batch[:: (-1) ** worker])
        return [settled[f"e{n}"] for n in range(40)]

    answers = await asyncio.gather(*(work(worker) for worker in range(6)))
    assert all(answer == answers[0] for answer in answers)


async def test_a_grade_that_comes_during_a_split_is_of_the_pattern_that_it_makes(
    store: Store, another_store: Callable[[], Store], at: Callable[[float], datetime]
) -> None:
    """It is kept after the split then, or moved by it; never left with the pattern from before."""
    project = Recording(store, at)
    root = await project.fail("e1", "one")
    await project.fail("e2", "two", into=root, vector=(0, 1, 0, 0), promoted=False)
    async with another_store()._database.writing("promote", "shop") as session:
        signed = Signed("ada", "because", at(60))
        change = await session.run(
            lambda connection: split(connection, "shop", root, ["e2"], signed)
        )
        grades = [Graduate("shop", "e2", root, graduate("e2", 0.5).grade)]
        late = asyncio.create_task(store.grades.settle(grades))
        await asyncio.wait({late}, timeout=0.3)
        assert not late.done()
    await late
    of_event = select(grade.c.pattern_id).where(grade.c.event_id == "e2")
    kept = await store._database.read(lambda connection: connection.scalar(of_event))
    assert kept == change.detail["to"]
