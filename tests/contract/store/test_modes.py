"""`services.mode_store.ModeStore`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from recording import candidate, first, joins, keep

from services.mode_store import (
    MergeProposal,
    Mode,
    ModeRefit,
    PatternMode,
    Refitted,
    Told,
)
from services.store.open import Store

At = Callable[[float], datetime]


def _refit(at: At, number: int, **other: Any) -> ModeRefit:
    told = {"patterns": 3, "modes": 1, "seconds": 0.5, "space": "s", "detail": {"kept": 0}}
    return ModeRefit(project="shop", number=number, at=at(number), **(told | other))


def _mode(mode_id: str, **other: Any) -> Mode:
    told: dict[str, Any] = {"name": f"name of {mode_id}", "size": 2, "born_refit": 1}
    return Mode(project="shop", mode_id=mode_id, **(told | other))


def _refitted(at: At, number: int = 1, **other: Any) -> Refitted:
    found: dict[str, Any] = {"modes": [], "gone": [], "patterns": [], "proposals": []}
    return Refitted(refit=_refit(at, number), **(found | other))


def _proposal(proposal_id: str, *patterns: str, refit: int = 1, near: float = 0.1) -> MergeProposal:
    return MergeProposal(
        project="shop",
        proposal_id=proposal_id,
        patterns=patterns,
        evidence={"mode": "m", "near": near},
        refit=refit,
    )


@pytest.fixture
async def three_patterns(store: Store, at: At) -> None:
    events = ("a", "b", "c")
    await keep(store, *(first(candidate(at, event)) for event in events))
    await keep(store, joins(candidate(at, "d"), "p-b"))


@pytest.mark.usefixtures("three_patterns")
async def test_what_is_refitted_is_said_with_how_much_it_has_grown(store: Store, at: At) -> None:
    (grown,) = await store.modes.grown()
    assert (grown.project, grown.patterns, grown.latest) == ("shop", 3, None)
    for number in (1, 2):
        assert await store.modes.keep(_refitted(at, number))
    (grown,) = await store.modes.grown()
    assert grown.latest == _refit(at, 2)
    assert await store.modes.refits("shop", limit=9) == [_refit(at, 2), _refit(at, 1)]
    assert await store.modes.refits("bank", limit=9) == []


@pytest.mark.usefixtures("three_patterns")
async def test_patterns_are_told_with_their_counts(store: Store) -> None:
    assert await store.modes.occurrences("shop") == {"p-a": 1, "p-b": 2, "p-c": 1}
    told = await store.modes.told("shop", ["p-b", "nobody"])
    assert told == {"p-b": Told("text b", 2)}
    assert await store.modes.told("shop", []) == {}


@pytest.mark.usefixtures("three_patterns")
async def test_merged_patterns_are_part_of_their_root(store: Store, at: At) -> None:
    inside = [PatternMode(one, "m", 1.0, 0.0) for one in ("p-a", "p-b", "p-c")]
    await store.modes.keep(_refitted(at, modes=[_mode("m")], patterns=inside))
    await store.changes.merge("shop", "p-a", ["p-c"], by="me", reason="the same", at=at(9))
    assert await store.modes.occurrences("shop") == {"p-a": 2, "p-b": 2}
    assert (await store.modes.grown())[0].patterns == 2
    members = await store.modes.members("shop", "m", limit=9)
    assert {one.pattern_id for one in members} == {"p-a", "p-b"}


@pytest.mark.usefixtures("three_patterns")
async def test_a_refit_takes_the_place_of_the_one_before(store: Store, at: At) -> None:
    one = _refitted(
        at,
        modes=[_mode("m", size=2, terms=("refund", "late")), _mode("n", size=1)],
        patterns=[
            PatternMode("p-a", "m", 0.5, 0.25),
            PatternMode("p-b", "m", 1.0, 0.0),
            PatternMode("p-c", "n", 0.75, 0.1),
        ],
    )
    assert await store.modes.keep(one)
    assert await store.modes.modes("shop") == list(one.modes)
    assert await store.modes.modes(None) == list(one.modes)
    assert await store.modes.modes("bank") == []
    assert await store.modes.memberships("shop") == {"p-a": "m", "p-b": "m", "p-c": "n"}
    members = await store.modes.members("shop", "m", limit=9)
    assert [(m.pattern_id, m.membership, m.outlier, m.occurrences) for m in members] == [
        ("p-b", 1.0, 0.0, 2),
        ("p-a", 0.5, 0.25, 1),
    ]
    two = _refitted(
        at,
        2,
        modes=[_mode("m", name="refunds", size=1, born_refit=2, parents=("x",), terms=("refund",))],
        gone=["n"],
        patterns=[PatternMode("p-a", "m", 1.0, 0.0), PatternMode("p-b", None, 0.0, 0.9)],
    )
    assert await store.modes.keep(two)
    kept, gone = await store.modes.modes("shop", gone=True)
    assert (kept.mode_id, kept.name, kept.size, kept.terms) == ("m", "refunds", 1, ("refund",))
    assert (kept.born_refit, kept.parents) == (1, ())  # it was born before, of nobody
    assert (gone.mode_id, gone.gone_refit) == ("n", 2)
    assert await store.modes.modes("shop") == [kept]
    assert await store.modes.memberships("shop") == {"p-a": "m"}


async def test_of_two_refits_with_one_number_the_first_is_kept(store: Store, at: At) -> None:
    assert await store.modes.keep(_refitted(at, modes=[_mode("m")]))
    assert not await store.modes.keep(_refitted(at, modes=[_mode("n")]))
    assert [one.mode_id for one in await store.modes.modes("shop")] == ["m"]


async def test_proposals_are_open_until_somebody_decides(store: Store, at: At) -> None:
    modes = store.modes
    await modes.keep(
        _refitted(at, proposals=[_proposal("ab1", "p", "q"), _proposal("ac2", "r", "s")])
    )
    found = await modes.proposals("shop", state="open", limit=9)
    assert found == [_proposal("ab1", "p", "q"), _proposal("ac2", "r", "s")]
    assert [one.proposal_id for one in await modes.proposal("a")] == ["ab1", "ac2"]
    assert await modes.proposal("%") == []
    assert await modes.decide("shop", "ab1", "rejected", by="ann", at=at(5))
    assert not await modes.decide("shop", "ab1", "accepted", by="bob", at=at(6))
    assert not await modes.decide("bank", "ac2", "rejected", by="ann", at=at(5))
    (decided,) = await modes.proposals(None, state="rejected", limit=9)
    assert (decided.decided_by, decided.decided_at) == ("ann", at(5))
    assert await modes.refused("shop") == [("p", "q")]
    assert await modes.proposals("bank", state=None, limit=9) == []


async def test_the_next_refit_renews_open_proposals_and_leaves_decided_ones(
    store: Store, at: At
) -> None:
    modes = store.modes
    await modes.keep(_refitted(at, proposals=[_proposal(one, one, "q") for one in ("a", "b", "c")]))
    await modes.decide("shop", "a", "rejected", by="ann", at=at(5))
    again = [
        _proposal("a", "a", "q", refit=2, near=0.2),
        _proposal("b", "b", "q", refit=2, near=0.2),
    ]
    await modes.keep(_refitted(at, 2, proposals=again))
    found = {one.proposal_id: one for one in await modes.proposals("shop", state=None, limit=9)}
    assert set(found) == {"a", "b"}  # nobody finds c any more
    assert (found["a"].state, found["a"].evidence["near"]) == ("rejected", 0.1)
    assert (found["b"].state, found["b"].evidence["near"]) == ("open", 0.2)
