from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from grade.events import Graded
from promote.events import CasePromoted
from promote.policy import PromotionPolicy, PromotionRule
from services.policy import Policies, Policy
from services.promoter import Promoter
from services.stream.outcome import Emit, Outcome, Skip

Make = Callable[..., Graded]


@pytest.fixture
def promoter(case_store: Any, policies: Policies) -> Promoter:
    ticks = count()
    start = datetime(2026, 1, 3, tzinfo=UTC)
    return Promoter(case_store, policies, clock=lambda: start + timedelta(seconds=next(ticks)))


def _promoted(outcomes: Sequence[Outcome]) -> list[CasePromoted]:
    events = [one.event for one in outcomes if isinstance(one, Emit)]
    return [event for event in events if isinstance(event, CasePromoted)]


async def test_a_pattern_has_one_case_and_counts_the_rest(
    promoter: Promoter, make_graded: Make, case_store: Any
) -> None:
    batch = [
        make_graded("t1"),
        make_graded("t2", decided_by="fingerprint", nearest_distance=0.0),
        make_graded("t3", decided_by="embedding", nearest_distance=0.2),
    ]
    await promoter.ready()
    outcomes = await promoter.handle(batch)
    assert [one.trace_id for one in _promoted(outcomes)] == ["t1"]
    assert outcomes[1:] == [Skip("counted"), Skip("counted")]
    assert case_store.counted == {"p1": {"event-t1", "event-t2", "event-t3"}}


async def test_a_repeated_event_gives_the_same_case_again(
    promoter: Promoter, make_graded: Make, case_store: Any
) -> None:
    """The clock has moved on; the case that was kept has not."""
    one = make_graded("t1")
    first = await promoter.handle([one, one])
    again = await promoter.handle([one])
    assert len(_promoted(first)) == 2
    assert first == [*again, *again]
    assert len(case_store.cases) == 1


async def test_projects_of_one_batch_are_promoted_apart_and_answered_in_order(
    promoter: Promoter, make_graded: Make, case_store: Any
) -> None:
    batch = [make_graded(f"t{n}", project=p) for n, p in enumerate(["shop", "bank", "shop"])]
    outcomes = await promoter.handle(batch)
    assert case_store.calls == ["shop", "bank"]
    assert [one.project for one in _promoted(outcomes)] == ["shop", "bank", "shop"]
    assert [one.trace_id for one in _promoted(outcomes)] == ["t0", "t1", "t0"]


async def test_the_projects_own_rules_choose_the_set(
    promoter: Promoter, make_graded: Make, policy_store: Any
) -> None:
    rules = (PromotionRule(set="backlog", min_severity="critical", waits_for="expected"),)
    policy_store.policies["bank"] = Policy(promotion=PromotionPolicy(rules=rules))
    batch = [
        make_graded("t1", severity="critical"),
        make_graded("t2", project="bank", severity="critical"),
    ]
    cases = [one.case for one in _promoted(await promoter.handle(batch))]
    assert [(case.set, case.waits_for) for case in cases] == [
        ("monitoring", None),
        ("backlog", "expected"),
    ]


async def test_an_outage_makes_no_case_and_is_counted(
    promoter: Promoter, make_graded: Make, case_store: Any
) -> None:
    batch = [make_graded("t1", fault="infrastructure"), make_graded("t2", decided_by="fingerprint")]
    assert await promoter.handle(batch) == [Skip("counted"), Skip("counted")]
    assert case_store.counted == {"p1": {"event-t1", "event-t2"}}
    case_store.outages.add("p1")
    (made,) = _promoted(await promoter.handle([make_graded("t3", decided_by="embedding")]))
    assert made.trace_id == "t3", (
        "the first failure of the pattern that is no outage makes its case"
    )


@pytest.mark.parametrize("fault", ["input", "unknown"])
async def test_what_is_not_surely_the_models_waits_for_a_person(
    promoter: Promoter, make_graded: Make, fault: str
) -> None:
    (made,) = _promoted(
        await promoter.handle([make_graded("t1", severity="critical", fault=fault)])
    )
    assert (made.case.set, made.case.waits_for) == ("backlog", "review")
    assert f"fault:{fault}" in made.case.tags


async def test_a_failure_that_comes_again_graver_raises_its_case(
    promoter: Promoter, make_graded: Make
) -> None:
    (first,) = _promoted(await promoter.handle([make_graded("t1", severity="low")]))
    assert first.case.set == "backlog"
    (again,) = _promoted(await promoter.handle([make_graded("t1", severity="critical")]))
    assert (again.case.set, again.case.severity) == ("monitoring", "critical")
    assert (again.event_id, again.case.case_id) == (first.event_id, first.case.case_id)
    assert again.case.created_at == first.case.created_at
    (last,) = _promoted(await promoter.handle([make_graded("t1", severity="low")]))
    assert last.case == again.case
