"""The modes' refit, on a real store and in its real process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from dedup.assign import Candidate, Decided
from dedup.centroid import Centroid
from dedup.events import Assignment
from dedup.geometry import Geometry
from dedup.policy import DedupPolicy, TextPolicy
from services.errors import Unavailable
from services.mode_store import Grown, ModeRefit
from services.modes import Modes, NothingToRefit, is_due
from services.pattern_store import Kept, Serving
from services.policy import Policies, Policy
from services.store.open import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SPACE = "space"
TOPICS = {
    "refund": "my refund has not come",
    "login": "the password is refused",
    "transfer": "a transfer is still pending",
}
EACH = 30


def _vectors(seed: int = 1, each: int = EACH) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.eye(24, dtype=np.float32)[: len(TOPICS)]
    moved = np.repeat(centres, each, axis=0)
    moved = moved + rng.standard_normal(moved.shape) * 0.12
    unit: np.ndarray = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _decided(pattern_id: str, text: str, vector: np.ndarray) -> Decided:
    one = Candidate("shop", f"e-{pattern_id}", "t", NOW, text, f"f-{pattern_id}", guard="model|")
    assignment = Assignment(
        pattern_id=pattern_id,
        decided_by="first",
        distance=0.0,
        fingerprint=one.fingerprint,
        embedding_space=SPACE,
    )
    return Decided(one, assignment, vector)


async def _keep(
    store: Store, named: dict[str, tuple[str, np.ndarray]], *, begin: bool = False
) -> None:
    async with store.patterns.locked("shop") as writer:
        if begin:
            await writer.serve(
                Serving(
                    ordinal=1,
                    space=SPACE,
                    encoder="e",
                    text=TextPolicy(),
                    by="me",
                    reason="first",
                    at=NOW,
                )
            )
        await writer.keep(
            Kept(
                space=SPACE,
                decided=[_decided(one, text, vector) for one, (text, vector) in named.items()],
                centroids={
                    one: ("model|", Centroid(2 * vector, 2)) for one, (_, vector) in named.items()
                },
                geometry=Geometry(1, np.zeros(24, dtype=np.float32)) if begin else None,
            )
        )


def _named(
    vectors: np.ndarray, each: int = EACH, start: int = 0
) -> dict[str, tuple[str, np.ndarray]]:
    texts = [f"{text} {n}" for text in TOPICS.values() for n in range(each)]
    return {
        f"p{start + n:03}": (text, vector)
        for n, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    }


@pytest.fixture
async def modes(store: Store, policy_store: Any) -> AsyncIterator[Modes]:
    modes = Modes(
        store.modes, store.patterns, store.changes, Policies(policy_store), clock=lambda: NOW
    )
    yield modes
    await modes.close()


async def test_ways_of_failing_are_found_named_and_kept_over_refits(
    store: Store, modes: Modes
) -> None:
    await _keep(store, _named(_vectors()), begin=True)
    refit = await modes.refit("shop")
    assert (refit.number, refit.patterns, refit.modes) == (1, 90, 3)
    found = await store.modes.modes("shop")
    assert {"refund", "password", "transfer"} <= {term for one in found for term in one.terms}
    for one in found:
        members = await store.modes.members("shop", one.mode_id, limit=99)
        assert len(members) == one.size
        assert len({member.text.rsplit(" ", 1)[0] for member in members}) == 1
    await _keep(store, _named(_vectors(2, 8), 8, start=500))
    again = await modes.refit("shop")
    assert (again.number, again.patterns) == (2, 114)
    assert again.detail["kept"] == 3
    assert {one.mode_id for one in await store.modes.modes("shop")} == {o.mode_id for o in found}
    assert 0 < again.detail["peak_bytes"] < 1 << 30


async def test_patterns_that_are_near_are_proposed_and_nothing_is_merged(
    store: Store, modes: Modes, policy_store: Any
) -> None:
    policy_store.policies["shop"] = Policy(dedup=DedupPolicy(distance=0.05))
    named = _named(_vectors())
    text, vector = named["p003"]
    await _keep(store, {**named, "twin": (f"{text} again", vector)}, begin=True)
    await modes.refit("shop")
    proposals = await store.modes.proposals("shop", state="open", limit=99)
    (twins,) = [one for one in proposals if "twin" in one.patterns]
    assert {"p003", "twin"} <= set(twins.patterns)
    evidence = {one["pattern_id"]: one for one in twins.evidence["patterns"]}
    assert evidence["twin"]["text"] == f"{text} again"
    assert all(one["distance"] <= 0.05 for one in twins.evidence["patterns"])
    assert len(await store.modes.occurrences("shop")) == 91
    await store.modes.decide("shop", twins.proposal_id, "rejected", by="ann", at=NOW)
    await modes.refit("shop")
    still = await store.modes.proposals("shop", state="open", limit=99)
    assert not any({"p003", "twin"} <= set(one.patterns) for one in still)


async def test_merges_are_carried_out_where_the_policy_says_so(
    store: Store, modes: Modes, policy_store: Any
) -> None:
    policy_store.policies["shop"] = Policy(
        dedup=DedupPolicy(distance=0.01, merge_proposals="carry_out")
    )
    named = _named(_vectors())
    text, vector = named["p003"]
    await _keep(store, {**named, "twin": (text, vector)}, begin=True)
    await modes.refit("shop")
    (proposal,) = await store.modes.proposals("shop", state="accepted", limit=9)
    assert proposal.decided_by == "modes"
    assert len(await store.modes.occurrences("shop")) == 90
    (change,) = await store.changes.history("shop", limit=9)
    assert (change.kind, change.by) == ("merge", "modes")
    assert proposal.proposal_id in change.reason


async def test_too_few_patterns_have_no_modes(store: Store, modes: Modes) -> None:
    with pytest.raises(NothingToRefit, match="has 0 patterns"):
        await modes.refit("shop")
    await _keep(store, dict(list(_named(_vectors()).items())[:5]), begin=True)
    with pytest.raises(NothingToRefit, match="has 5 patterns; from 20 on"):
        await modes.refit("shop")
    assert await modes.refit_due(timedelta(0)) == []


async def test_a_process_that_is_killed_fails_the_refit_and_the_next_one_works(
    store: Store, modes: Modes
) -> None:
    await _keep(store, _named(_vectors()), begin=True)
    running = asyncio.create_task(modes.refit("shop"))
    async with asyncio.timeout(60):
        while not modes.kill():  # noqa: ASYNC110 - until there is a process to kill
            await asyncio.sleep(0.01)  # threads must get on meanwhile
    with pytest.raises(Unavailable, match="process died"):
        await running
    assert await store.modes.refits("shop", limit=1) == []
    assert (await modes.refit_due(timedelta(hours=1)))[0].modes == 3
    assert await modes.refit_due(timedelta(0)) == []  # it has not grown


async def test_a_name_from_a_model_stays_while_the_terms_stay(
    store: Store, policy_store: Any
) -> None:
    asked = []

    class Namer:
        async def name(self, terms: Any, texts: Any) -> str | None:
            asked.append((terms, texts))
            return f"Failing {len(asked)}"

    await _keep(store, _named(_vectors()), begin=True)
    modes = Modes(
        store.modes,
        store.patterns,
        store.changes,
        Policies(policy_store),
        clock=lambda: NOW,
        names=Namer(),
    )
    try:
        await modes.refit("shop")
        await modes.refit("shop")
    finally:
        await modes.close()
    assert len(asked) == 3
    assert {one.name for one in await store.modes.modes("shop")} == {
        "Failing 1",
        "Failing 2",
        "Failing 3",
    }


@pytest.mark.parametrize(
    ("patterns", "last", "minutes", "due"),
    [
        (19, None, 0, False),
        (20, None, 0, True),
        (124, 100, 60, False),
        (125, 100, 60, True),
        (125, 100, 5, False),
        (90, 100, 60, False),
    ],
)
def test_a_refit_is_due_when_a_quarter_has_come_and_time_has_passed(
    *, patterns: int, last: int | None, minutes: int, due: bool
) -> None:
    latest = last and ModeRefit(
        project="shop",
        number=1,
        at=NOW,
        patterns=last,
        modes=1,
        seconds=1,
        space="s",
        detail={},
    )
    grown = Grown("shop", patterns, latest or None)
    now = NOW + timedelta(minutes=minutes)
    assert is_due(grown, now=now, pause=timedelta(minutes=10)) is due
