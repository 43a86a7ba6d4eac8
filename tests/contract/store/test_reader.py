"""`services.reading.Reader`."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest

from dedup.assign import Candidate, Decided
from dedup.events import Assignment
from promote.case import Case, CaseSet, Provenance
from services.archive import ArchivedPiece, Settled, Verdict
from services.pattern_store import Kept
from services.promoter import Promotion
from services.reading import Member, Totals
from services.store.open import Store

At = Callable[[float], datetime]


@pytest.fixture
def make_case(at: At) -> Callable[..., Case]:
    def make(
        name: str,
        *,
        project: str = "shop",
        case_set: CaseSet = "monitoring",
        weight: float = 0.5,
        seconds: float = 0,
    ) -> Case:
        return Case(
            case_id=name,
            project=project,
            pattern_id=f"p-{name}",
            set=case_set,
            label="latency",
            severity="high",
            weight=weight,
            components={},
            provenance=Provenance(
                trace_id="t", event_id=f"e-{name}", pattern_id=f"p-{name}", failed_at=at(0)
            ),
            created_at=at(seconds),
        )

    return make


async def promote(store: Store, *cases: Case) -> None:
    for case in cases:
        event, pattern = case.provenance.event_id, case.pattern_id
        promotion = Promotion(event, "t", pattern, case.created_at, case)
        await store.cases.promote(case.project, [promotion])


async def decide(
    store: Store,
    at: At,
    events: list[tuple[str, str]],
    project: str = "shop",
    outages: tuple[str, ...] = (),
) -> None:
    """Events with their patterns; the first of a pattern is its representative."""
    seen: set[str] = set()
    async with store.patterns.locked(project) as writer:
        for number, (event, pattern) in enumerate(events):
            assignment = Assignment(
                pattern_id=pattern,
                decided_by="embedding" if pattern in seen else "first",
                distance=0.25 if pattern in seen else 0.0,
                fingerprint=event,
                embedding_space="s",
            )
            vector = None if pattern in seen else np.ones(2, dtype=np.float32)
            seen.add(pattern)
            fault = "infrastructure" if pattern in outages else "model"
            one = Candidate(
                project, event, f"t-{event}", at(number), f"text of {event}", event, fault
            )
            await writer.keep(Kept(space="s", decided=[Decided(one, assignment, vector)]))


async def test_an_empty_store_has_nothing(store: Store) -> None:
    assert await store.reader.totals() == Totals(
        pieces=0,
        traces=0,
        traces_waiting=0,
        failures=0,
        patterns=0,
        occurrences=0,
        cases=0,
        cases_by_set={"blocking": 0, "monitoring": 0, "backlog": 0},
        failures_by_fault={"model": 0, "infrastructure": 0, "input": 0, "unknown": 0},
    )
    assert await store.reader.projects() == []
    assert await store.reader.cases(project=None, case_set=None, limit=10) == []
    assert await store.reader.case("") == []
    assert await store.reader.patterns(project=None, limit=10) == []
    assert await store.reader.members(project=None, pattern_id=None, limit=None) == []


async def test_totals_are_of_one_project_or_of_all(
    store: Store, at: At, make_case: Callable[..., Case]
) -> None:
    pieces = [ArchivedPiece("shop", "t", name, "trace/1", b"") for name in "ab"]
    pieces.append(ArchivedPiece("bank", "t", "a", "trace/1", b""))
    await store.archive.add(pieces[:2], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=2, limit=10)
    await claim.settle([Verdict(state="failed")], Settled(2, 3))
    await store.archive.add(pieces[2:], now_ms=1, due_ms=1)
    await decide(store, at, [("a", "p"), ("b", "p"), ("c", "q")], outages=("q",))
    await decide(store, at, [("a", "r")], "bank")
    await promote(store, make_case("x"), make_case("y", project="bank", case_set="backlog"))
    assert await store.reader.totals("shop") == Totals(
        pieces=2,
        traces=1,
        traces_waiting=0,
        failures=1,
        patterns=2,
        occurrences=3,
        cases=1,
        cases_by_set={"blocking": 0, "monitoring": 1, "backlog": 0},
        failures_by_fault={"model": 2, "infrastructure": 1, "input": 0, "unknown": 0},
    )
    everything = await store.reader.totals()
    assert (everything.pieces, everything.traces, everything.traces_waiting) == (3, 2, 1)
    assert (everything.patterns, everything.occurrences, everything.cases) == (3, 4, 2)
    assert everything.cases_by_set == {"blocking": 0, "monitoring": 1, "backlog": 1}


async def test_projects_are_in_alphabetical_order_byte_by_byte(store: Store) -> None:
    """Not in the order of the database's language, which would differ from one to the next."""
    for name in ("b", "A-1", "a", "B", "a_b"):
        await store.archive.add([ArchivedPiece(name, "t", "e", "trace/1", b"")], now_ms=1, due_ms=1)
    assert await store.reader.projects() == ["A-1", "B", "a", "a_b", "b"]


async def test_cases_come_heaviest_first_then_newest(
    store: Store, make_case: Callable[..., Case]
) -> None:
    await promote(
        store,
        make_case("light", weight=0.1, seconds=9),
        make_case("old", weight=0.5, seconds=1),
        make_case("new", weight=0.5, seconds=2),
        make_case("heavy", weight=0.9, case_set="backlog"),
        make_case("other", weight=1.0, project="bank"),
    )

    async def listed(project: str | None, case_set: CaseSet | None, limit: int = 10) -> list[str]:
        found = await store.reader.cases(project=project, case_set=case_set, limit=limit)
        return [one.case.case_id for one in found]

    assert await listed(None, None) == ["other", "heavy", "new", "old", "light"]
    assert await listed("shop", None, 2) == ["heavy", "new"]
    assert await listed("shop", "monitoring") == ["new", "old", "light"]
    assert await listed(None, "backlog") == ["heavy"]
    assert await listed("shop", "blocking") == []


async def test_a_case_is_found_by_how_its_id_starts(
    store: Store, make_case: Callable[..., Case]
) -> None:
    await promote(store, *(make_case(name) for name in ("abc", "abd", "ac", "Ab", "a%c")))

    async def found(prefix: str) -> list[str]:
        return [one.case.case_id for one in await store.reader.case(prefix)]

    assert await found("ab") == ["abc", "abd"]
    assert await found("abc") == ["abc"]
    assert await found("a%") == ["a%c"]
    assert await found("zz") == []
    assert await found("a\x00") == []
    assert await found("") == ["Ab", "a%c", "abc", "abd", "ac"]


async def test_patterns_come_most_frequent_first_and_are_found_by_their_id(
    store: Store, at: At
) -> None:
    await decide(store, at, [("a", "rare"), ("b", "often"), ("c", "often"), ("d", "fresh")])
    listed = await store.reader.patterns(project="shop", limit=10)
    assert [(one.pattern_id, one.occurrences) for one in listed] == [
        ("often", 2),
        ("fresh", 1),
        ("rare", 1),
    ]
    assert len(await store.reader.patterns(project=None, limit=2)) == 2
    assert await store.reader.patterns(project="bank", limit=2) == []
    (found,) = await store.reader.pattern("oft")
    assert found == listed[0]
    assert (found.first_failed_at, found.last_failed_at) == (at(1), at(2))
    assert await store.reader.pattern("x\x00") == []


async def test_patterns_of_one_fault_are_those_whose_representative_has_it(
    store: Store, at: At
) -> None:
    await decide(store, at, [("a", "wrong"), ("b", "down"), ("c", "down")], outages=("down",))
    (down,) = await store.reader.patterns(project="shop", limit=10, fault="infrastructure")
    assert (down.pattern_id, down.fault) == ("down", "infrastructure")
    (wrong,) = await store.reader.patterns(project=None, limit=10, fault="model")
    assert (wrong.pattern_id, wrong.fault) == ("wrong", "model")
    assert await store.reader.patterns(project="shop", limit=10, fault="input") == []


async def test_a_failure_that_turns_out_to_be_anothers_fault_is_counted_as_such(
    store: Store, at: At
) -> None:
    await decide(store, at, [("a", "p"), ("b", "p"), ("c", "q")], outages=("p",))
    await store.patterns.change_faults("shop", {"a": "model", "zz": "input"})
    await store.patterns.change_faults("bank", {"c": "input"})
    await store.patterns.change_faults("shop", {})
    totals = await store.reader.totals("shop")
    assert totals.failures_by_fault == {"model": 2, "infrastructure": 1, "input": 0, "unknown": 0}
    (found,) = await store.reader.pattern("p")
    assert found.fault == "model", "the representative's fault is the pattern's"


async def test_members_come_in_the_order_they_were_decided(store: Store, at: At) -> None:
    await decide(store, at, [("c", "p"), ("a", "q"), ("b", "p")])
    await decide(store, at, [("d", "r")], "bank")
    everyone = await store.reader.members(project=None, pattern_id=None, limit=None)
    assert [one.trace_id for one in everyone] == ["t-c", "t-a", "t-b", "t-d"]
    assert everyone[2] == Member(
        project="shop",
        event_id="b",
        trace_id="t-b",
        pattern_id="p",
        distance=0.25,
        decided_by="embedding",
        failed_at=at(2),
    )
    of_pattern = await store.reader.members(project="shop", pattern_id="p", limit=None)
    assert [one.trace_id for one in of_pattern] == ["t-c", "t-b"]
    assert len(await store.reader.members(project="shop", pattern_id=None, limit=2)) == 2
    assert await store.reader.members(project="bank", pattern_id="p", limit=None) == []
