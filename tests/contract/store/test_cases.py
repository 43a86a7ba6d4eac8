"""`services.promoter.CaseStore`."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.events import SEVERITIES
from capture.ids import derive_id
from capture.trace import Step
from dedup.assign import Candidate, Decided
from dedup.events import Assignment
from promote.case import Case, CaseSignal, Provenance
from services.pattern_store import Kept
from services.promoter import Promotion
from services.store.open import Store

At = Callable[[float], datetime]


def make_case(at: At, pattern: str, event: str, weight: float = 0.5) -> Case:
    return Case(
        case_id=f"case-{pattern}",
        project="shop",
        pattern_id=pattern,
        set="monitoring",
        input="where is my parcel",
        label="latency",
        severity="high",
        weight=weight,
        components={"severity": 0.75},
        provenance=Provenance(
            trace_id=f"t-{event}", event_id=event, pattern_id=pattern, failed_at=at(0)
        ),
        created_at=at(1),
    )


def counted(at: At, event: str, pattern: str = "p", seconds: float = 0) -> Promotion:
    return Promotion(event, f"t-{event}", pattern, at(seconds), None)


def representative(at: At, event: str, pattern: str = "p", seconds: float = 0) -> Promotion:
    case = make_case(at, pattern, event)
    return Promotion(event, f"t-{event}", pattern, at(seconds), case)


async def kept(store: Store) -> list[tuple[str, int, datetime]]:
    cases = await store.reader.cases(project="shop", case_set=None, limit=100)
    return sorted((one.case.pattern_id, one.occurrences, one.last_failed_at) for one in cases)


async def test_a_representative_becomes_a_case_and_duplicates_raise_its_count(
    store: Store, at: At
) -> None:
    first = representative(at, "a")
    assert await store.cases.promote("shop", [first, counted(at, "b", seconds=9)]) == {
        "a": first.case
    }
    assert await store.cases.promote("shop", [counted(at, "c", seconds=5)]) == {}
    assert await kept(store) == [("p", 3, at(9))]


async def outage(store: Store, at: At, pattern: str, event: str) -> None:
    """A pattern whose representative is an outage."""
    assignment = Assignment(
        pattern_id=pattern,
        decided_by="first",
        distance=0.0,
        fingerprint=event,
        embedding_space="s",
    )
    one = Candidate("shop", event, f"t-{event}", at(0), "text", event, "infrastructure")
    async with store.patterns.locked("shop") as writer:
        new = Decided(one, assignment, np.ones(2, dtype=np.float32))
        await writer.keep(Kept(space="s", decided=[new]))


async def test_a_pattern_that_began_with_an_outage_gets_the_case_of_the_first_that_is_none(
    store: Store, at: At
) -> None:
    await outage(store, at, "p", "a")
    assert await store.cases.promote("shop", [counted(at, "a")]) == {}
    other = msgspec.structs.replace(representative(at, "b"), represents=False)
    third = msgspec.structs.replace(representative(at, "c"), represents=False)
    assert await store.cases.promote("shop", [other, third]) == {"b": other.case}
    assert await store.cases.promote("shop", [third, other]) == {"b": other.case}
    assert await kept(store) == [("p", 3, at(0))]


async def test_a_failure_that_overtakes_its_representative_makes_no_case(
    store: Store, at: At
) -> None:
    other = msgspec.structs.replace(representative(at, "b"), represents=False)
    assert await store.cases.promote("shop", [other]) == {}
    first = representative(at, "a")
    assert await store.cases.promote("shop", [first]) == {"a": first.case}
    assert await kept(store) == [("p", 2, at(0))]


def graver(at: At, event: str) -> Promotion:
    case = msgspec.structs.replace(
        make_case(at, "p", event, weight=1.0), severity="critical", label="thumbs"
    )
    return Promotion(event, f"t-{event}", "p", at(7), case)


async def test_a_case_whose_failure_comes_again_graver_is_raised_and_counted_once(
    store: Store, at: At
) -> None:
    first = representative(at, "a")
    waiting = msgspec.structs.replace(first.case, set="backlog", waits_for="review")
    first = msgspec.structs.replace(first, case=waiting)
    await store.cases.promote("shop", [first, counted(at, "b")])
    again = graver(at, "a")
    assert await store.cases.promote("shop", [again]) == {"a": again.case}
    assert await store.cases.promote("shop", [first]) == {"a": again.case}
    (one,) = await store.reader.cases(project="shop", case_set="monitoring", limit=10)
    assert one.case == again.case
    assert one.occurrences == 2
    assert await store.reader.cases(project="shop", case_set="backlog", limit=10) == []


async def test_another_failure_of_the_pattern_raises_nothing(store: Store, at: At) -> None:
    first = representative(at, "a")
    await store.cases.promote("shop", [first])
    other = msgspec.structs.replace(graver(at, "b"), represents=False)
    assert await store.cases.promote("shop", [other]) == {}
    (one,) = await store.reader.cases(project="shop", case_set=None, limit=10)
    assert one.case == first.case


async def test_the_set_that_a_person_chose_stays(store: Store, at: At) -> None:
    first = representative(at, "a")
    chosen = msgspec.structs.replace(first.case, set="blocking", set_by="ann", expected="yes")
    await store.cases.promote("shop", [msgspec.structs.replace(first, case=chosen)])
    raised = (await store.cases.promote("shop", [graver(at, "a")]))["a"]
    assert (raised.set, raised.set_by, raised.expected) == ("blocking", "ann", "yes")
    assert (raised.severity, raised.label) == ("critical", "thumbs")


async def test_occurrences_that_came_before_their_representative_are_counted(
    store: Store, at: At
) -> None:
    await store.cases.promote("shop", [counted(at, "b", seconds=9), counted(at, "c")])
    assert await kept(store) == []
    await store.cases.promote("shop", [counted(at, "d"), representative(at, "a")])
    assert await kept(store) == [("p", 4, at(9))]


async def test_redelivery_counts_nothing_and_gives_the_same_case_again(
    store: Store, at: At
) -> None:
    batch = [representative(at, "a"), counted(at, "b"), counted(at, "b")]
    first = await store.cases.promote("shop", batch)
    again = make_case(at, "p", "a", weight=0.9)
    answer = await store.cases.promote("shop", [Promotion("a", "t-a", "p", at(3), again), *batch])
    assert answer == first
    assert await kept(store) == [("p", 2, at(0))]


async def test_a_pattern_has_one_case_whoever_claims_to_represent_it(store: Store, at: At) -> None:
    await store.cases.promote("shop", [representative(at, "a")])
    assert await store.cases.promote("shop", [representative(at, "z")]) == {}
    assert await kept(store) == [("p", 2, at(0))]
    both = [representative(at, "x", "q"), representative(at, "y", "q")]
    assert list(await store.cases.promote("shop", both)) == ["x"]


async def test_an_empty_batch_promotes_nothing(store: Store) -> None:
    assert await store.cases.promote("shop", []) == {}


async def test_workers_at_once_count_every_event_once(
    another_store: Callable[[], Store], at: At
) -> None:
    """Redelivered batches in any order: one case a pattern, and no occurrence lost or doubled."""
    handles = another_store(), another_store()
    events = [
        representative(at, f"{pattern}.0", pattern)
        if number == 0
        else counted(at, f"{pattern}.{number}", pattern, seconds=number)
        for number in range(20)
        for pattern in ("p", "q", "r")
    ]

    async def work(worker: int) -> None:
        mine = events[worker * 7 :] + events[: worker * 7]
        for start in range(0, len(mine), 4):
            await handles[worker % 2].cases.promote("shop", mine[start : start + 4])

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(worker) for worker in range(4)))
    assert await kept(handles[0]) == [(pattern, 20, at(19)) for pattern in ("p", "q", "r")]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
contents = (
    st.none() | texts | st.lists(json_values, max_size=3) | st.dictionaries(texts, json_values)
)
moments = st.datetimes(timezones=st.just(UTC))
steps = st.builds(
    Step,
    type=st.sampled_from(["user", "tool_call", "tool_result"]),
    name=st.none() | texts,
    call_id=st.none(),
    content=contents,
    arguments=contents,
    error=st.none() | st.booleans() | texts,
    started_at=st.none() | moments,
    latency_ms=st.none() | st.floats(0, 1e9),
)
signals = st.builds(
    CaseSignal,
    name=texts,
    reason=texts,
    severity=st.sampled_from(SEVERITIES),
    value=st.none() | st.booleans() | numbers | texts,
    source=texts,
)
whole_cases = st.builds(
    Case,
    case_id=st.uuids().map(str),
    project=st.just("shop"),
    pattern_id=st.uuids().map(str),
    set=st.sampled_from(["blocking", "monitoring", "backlog"]),
    waits_for=st.sampled_from([None, "expected", "review"]),
    input=contents,
    steps=st.lists(steps, max_size=2).map(tuple),
    failing_output=contents,
    expected=contents,
    label=texts,
    severity=st.sampled_from(SEVERITIES),
    weight=st.floats(0, 1),
    components=st.dictionaries(texts, numbers, max_size=3),
    tags=st.lists(texts, max_size=3).map(tuple),
    signals=st.lists(signals, max_size=2).map(tuple),
    provenance=st.builds(
        Provenance,
        trace_id=texts,
        event_id=texts,
        pattern_id=texts,
        failed_at=moments,
        started_at=st.none() | moments,
    ),
    created_at=moments,
)


@given(case=whole_cases)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
async def test_a_case_comes_back_as_it_was(store: Store, case: Case) -> None:
    """Odd numbers, empty texts, NUL characters, nested JSON: what was promoted is what is read."""
    project = derive_id(msgspec.json.encode(case))  # one of its own for each example
    case = msgspec.structs.replace(case, project=project)
    promotion = Promotion("e", "t", case.pattern_id, case.created_at, case)
    made = await store.cases.promote(project, [promotion])
    assert made == {promotion.event_id: case}
    (read,) = await store.reader.cases(project=project, case_set=None, limit=10)
    assert read.case == case
    assert (read.occurrences, read.last_failed_at) == (1, case.created_at)
