"""`services.labelling`: answers about pairs, doubtful decisions, calibrations."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import numpy as np
import pytest
from recording import SPACE, candidate, first, joins, keep

from dedup.geometry import Geometry
from dedup.labels import Verdict
from dedup.policy import TextPolicy
from services.knob import REASSIGNED
from services.labelling import (
    AlreadyDecided,
    Calibrated,
    GreyDecision,
    PairLabel,
    settle_grey,
)
from services.pattern_store import Serving
from services.policy import Policy
from services.store.open import Store

At = Callable[[float], datetime]


def label(
    at: At,
    first: str,
    second: str,
    verdict: Verdict = "same",
    project: str = "shop",
    by: str = "ann",
) -> PairLabel:
    return PairLabel(
        project=project,
        first=first,
        second=second,
        verdict=verdict,
        source="label",
        by=by,
        at=at(0),
    )


async def test_answers_are_kept_one_for_each_pair(store: Store, at: At) -> None:
    one, other = label(at, "a", "b"), label(at, "a", "c", "different")
    assert await store.labels.keep(one) is None
    assert await store.labels.keep(other) is None
    assert await store.labels.every("shop") == [one, other]
    changed = label(at, "a", "b", "different", by="bob")
    assert await store.labels.keep(changed) == one
    assert await store.labels.every("shop") == [changed, other]
    assert await store.labels.every("bank") == []


async def test_an_answer_can_be_taken_back_to_what_was_there_before(store: Store, at: At) -> None:
    one, changed = label(at, "a", "b"), label(at, "a", "b", "different")
    await store.labels.keep(one)
    before = await store.labels.keep(changed)
    assert await store.labels.take_back(changed, before)
    assert await store.labels.every("shop") == [one]
    assert await store.labels.take_back(one, None)
    assert await store.labels.every("shop") == []


async def test_what_somebody_said_since_is_not_taken_back(store: Store, at: At) -> None:
    mine, theirs = label(at, "a", "b"), label(at, "a", "b", "different", by="bob")
    await store.labels.keep(mine)
    await store.labels.keep(theirs)
    assert not await store.labels.take_back(mine, None)
    assert await store.labels.every("shop") == [theirs]


async def _grey(store: Store, at: At) -> Sequence[GreyDecision]:
    """Pattern p-a with a certain member, and two doubtful ones, 0.4 and 0.3 away."""
    far = joins(candidate(at, "far", seconds=20), "p-a", 0.4, vector=(0, 1), grey=True)
    near = joins(candidate(at, "near", seconds=30), "p-a", 0.3, vector=(0, 1), grey=True)
    certain = joins(candidate(at, "certain"), "p-a", 0.1, vector=(0, 1))
    await keep(store, first(candidate(at, "a")), certain, far, near)
    return await store.grey.undecided("shop", limit=10)


async def test_doubtful_decisions_are_listed_nearest_first_with_both_texts(
    store: Store, at: At
) -> None:
    near, far = await _grey(store, at)
    assert (near.event_id, far.event_id) == ("near", "far")
    assert (near.pattern_id, near.distance, near.failed_at) == ("p-a", 0.3, at(30))
    assert (near.text, near.pattern_text) == ("text near", "text a")
    assert (near.fingerprint, near.pattern_fingerprint) == ("near", "a")
    assert await store.grey.undecided("shop", limit=1) == [near]
    assert await store.grey.undecided(None, limit=9, since=at(25)) == [near]
    assert await store.grey.undecided("bank", limit=9) == []
    assert await store.grey.find("ne") == [near]
    assert await store.grey.find("certain") == []
    assert await store.grey.find("ne\x00") == []


async def _settled(
    store: Store, at: At, decision: GreyDecision, verdict: Verdict, by: str = "ann"
) -> None:
    await settle_grey(
        decision,
        verdict,
        decisions=store.grey,
        changes=store.changes,
        by=by,
        reason="reviewed",
        at=at(100),
    )


async def test_same_keeps_the_failure_where_it_is_and_is_an_answer(store: Store, at: At) -> None:
    near, far = await _grey(store, at)
    await _settled(store, at, near, "same")
    assert await store.grey.undecided("shop", limit=9) == [far]
    (pattern,) = await store.reader.patterns(project="shop", limit=9)
    assert pattern.occurrences == 4
    (answer,) = await store.labels.every("shop")
    assert (answer.first, answer.second, answer.verdict, answer.source, answer.by) == (
        "a",
        "near",
        "same",
        "grey",
        "ann",
    )
    (decided,) = await store.grey.find("near")
    assert decided.decided == "same"


async def test_different_gives_the_failure_a_pattern_of_its_own(store: Store, at: At) -> None:
    near, far = await _grey(store, at)
    await _settled(store, at, near, "different")
    patterns = await store.reader.patterns(project="shop", limit=9)
    assert sorted(one.occurrences for one in patterns) == [1, 3]
    assert {one.text for one in patterns} == {"text a", "text near"}
    (change,) = await store.changes.history("shop", limit=9)
    assert (change.kind, change.by, change.reason) == ("split", "ann", "reviewed")
    (answer,) = await store.labels.every("shop")
    assert (answer.verdict, answer.source) == ("different", "grey")
    assert await store.grey.undecided("shop", limit=9) == [far]


async def test_a_decision_is_reviewed_once(another_store: Callable[[], Store], at: At) -> None:
    """Two reviewers at the same moment: one verdict, and the other hears of it."""
    handles = another_store(), another_store()
    near, _ = await _grey(handles[0], at)
    results = await asyncio.gather(
        *(_settled(handles[n % 2], at, near, "same", by=f"r{n}") for n in range(6)),
        return_exceptions=True,
    )
    assert sum(result is None for result in results) == 1
    assert all(isinstance(one, AlreadyDecided) for one in results if one is not None)
    (answer,) = await handles[0].labels.every("shop")
    assert results[int(answer.by[1:])] is None


async def test_a_split_whose_note_was_lost_is_only_noted_the_next_time(
    store: Store, at: At
) -> None:
    """The process died between the two steps: the decision is open, and says its own text."""
    near, _ = await _grey(store, at)
    await store.changes.split(
        "shop", near.pattern_id, [near.event_id], by="ann", reason="reviewed", at=at(100)
    )
    again = next(
        one for one in await store.grey.undecided("shop", limit=9) if one.event_id == "near"
    )
    assert again.pattern_fingerprint == again.fingerprint
    await _settled(store, at, again, "different")
    assert len(await store.reader.patterns(project="shop", limit=9)) == 2
    assert [one.event_id for one in await store.grey.undecided("shop", limit=9)] == ["far"]


async def _undone(store: Store, at: At) -> None:
    (change,) = await store.changes.history("shop", limit=1)
    await store.changes.undo("shop", change.change_id, by="bob", reason="was wrong", at=at(200))


async def test_undoing_the_split_of_a_review_takes_the_review_back_for_people(
    store: Store, at: At
) -> None:
    near, far = await _grey(store, at)
    await _settled(store, at, near, "different")
    await _undone(store, at)
    assert await store.labels.every("shop") == []
    assert await store.grey.find("near") == [near], "open again, in its pattern"
    assert await store.grey.undecided("shop", limit=9) == [near, far]
    assert await store.grey.undecided("shop", limit=1, untouched=True) == [far]
    assert await store.grey.undecided(None, limit=9, untouched=True) == [far]
    await _settled(store, at, near, "same")
    (answer,) = await store.labels.every("shop")
    assert (answer.verdict, answer.source) == ("same", "grey")
    assert await store.grey.undecided("shop", limit=9) == [far]


@pytest.mark.parametrize("verdict", ["same", "different"])
async def test_undoing_the_split_of_a_review_brings_an_earlier_answer_back(
    store: Store, at: At, verdict: Verdict
) -> None:
    near, _ = await _grey(store, at)
    earlier = label(at, "a", "near", verdict, by="carl")
    await store.labels.keep(earlier)
    await _settled(store, at, near, "different")
    (answer,) = await store.labels.every("shop")
    assert answer.source == "grey"
    await _undone(store, at)
    assert await store.labels.every("shop") == [earlier]


async def test_undoing_the_split_of_a_review_leaves_what_was_said_since(
    store: Store, at: At
) -> None:
    near, _ = await _grey(store, at)
    await _settled(store, at, near, "different")
    since = label(at, "a", "near", "different", by="carl")
    await store.labels.keep(since)
    await _undone(store, at)
    assert await store.labels.every("shop") == [since]


async def test_a_review_that_was_only_noted_after_a_split_is_open_again_when_that_is_undone(
    store: Store, at: At
) -> None:
    near, far = await _grey(store, at)
    await store.changes.split(
        "shop", near.pattern_id, [near.event_id], by="ann", reason="reviewed", at=at(100)
    )
    (noted,) = await store.grey.find("near")
    await _settled(store, at, noted, "different")
    await _undone(store, at)
    assert await store.grey.undecided("shop", limit=9) == [near, far]
    assert await store.labels.every("shop") == []


async def test_undoing_a_later_split_leaves_an_earlier_review_as_it_was(
    store: Store, at: At
) -> None:
    near, far = await _grey(store, at)
    await _settled(store, at, near, "different")
    (split,) = await store.changes.history("shop", limit=1)
    made = split.detail["to"]
    into, later = near.pattern_id, at(110)
    await store.changes.merge("shop", into, [made], by="ann", reason="one after all", at=later)
    await store.changes.split("shop", into, ["near"], by="ann", reason="two after all", at=later)
    await _undone(store, at)
    (decided,) = await store.grey.find("near")
    assert decided.decided == "different"
    assert await store.grey.undecided("shop", limit=9) == [far]


async def test_a_review_whose_split_was_undone_before_it_was_noted_is_not_noted(
    store: Store, at: At
) -> None:
    near, far = await _grey(store, at)
    change = await store.changes.split(
        "shop", near.pattern_id, [near.event_id], by="ann", reason="reviewed", at=at(100)
    )
    await _undone(store, at)
    review = msgspec.structs.replace(label(at, "a", "near", "different"), source="grey")
    assert not await store.grey.close(near, review, "different", change.change_id)
    assert await store.labels.every("shop") == []
    assert await store.grey.undecided("shop", limit=9) == [near, far]


async def test_undoing_what_a_distance_split_leaves_doubtful_decisions_to_the_judge(
    store: Store, at: At
) -> None:
    near, far = await _grey(store, at)
    reason = f"{REASSIGNED}0.4: narrower"
    await store.changes.split(
        "shop", near.pattern_id, [near.event_id], by="ann", reason=reason, at=at(100)
    )
    await _undone(store, at)
    assert await store.grey.undecided("shop", limit=9, untouched=True) == [near, far]


async def _served(store: Store, at: At) -> None:
    async with store.patterns.locked("shop") as writer:
        serving = Serving(
            ordinal=1,
            space=SPACE,
            encoder="e",
            text=TextPolicy(),
            by="evalratchet",
            reason="first",
            at=at(0),
        )
        await writer.serve(serving)


def _calibration(at: At, *, version: int = 0, geometry: Geometry | None = None) -> Calibrated:
    dedup = msgspec.structs.replace(Policy().dedup, distance=0.42)
    return Calibrated(
        project="shop",
        version=version,
        policy=Policy(dedup=dedup),
        space=SPACE,
        geometry=geometry,
        detail={"answers": 120},
        by="ann",
        reason="labelled",
        at=at(5),
    )


async def test_a_calibration_is_a_signed_version_of_the_policy(store: Store, at: At) -> None:
    await _served(store, at)
    assert await store.calibrations.apply(_calibration(at))
    version, policy = await store.policies.current("shop")
    assert (version, policy.dedup.distance) == (1, 0.42)
    (change,) = await store.policies.history("shop")
    assert (change.changed_by, change.reason, change.before) == ("ann", "labelled", Policy())
    assert await store.calibrations.apply(_calibration(at, version=1))
    assert [one.before.dedup.distance for one in await store.policies.history("shop")] == [
        Policy().dedup.distance,
        0.42,
    ]


async def test_a_metric_is_the_next_geometry_with_its_evidence(store: Store, at: At) -> None:
    await _served(store, at)
    metric = np.array([[2, 0], [0, 0.5]], dtype=np.float32)
    geometry = Geometry(1, np.array([0.5, 0.25], dtype=np.float32), metric)
    assert await store.calibrations.apply(_calibration(at, geometry=geometry))
    async with store.patterns.reading("shop") as reader:
        kept = await reader.geometry(SPACE)
        (move,) = await reader.moves(SPACE)
    assert kept is not None
    assert kept.number == 1
    assert np.array_equal(kept.metric, metric)
    assert (move.kind, move.by, move.detail) == ("metric", "ann", {"answers": 120})


@pytest.mark.parametrize("stale", ["policy", "geometry", "space"])
async def test_a_calibration_of_what_is_no_longer_so_changes_nothing(
    store: Store, at: At, stale: str
) -> None:
    await _served(store, at)
    change = _calibration(at, geometry=Geometry(1, np.zeros(2, dtype=np.float32)))
    if stale == "policy":
        change = msgspec.structs.replace(change, version=3)
    elif stale == "geometry":
        change = msgspec.structs.replace(
            change, geometry=Geometry(2, np.zeros(2, dtype=np.float32))
        )
    else:
        change = msgspec.structs.replace(change, space="another")
    assert not await store.calibrations.apply(change)
    assert await store.policies.current("shop") == (0, Policy())
    async with store.patterns.reading("shop") as reader:
        assert await reader.geometry(SPACE) is None


async def test_of_two_calibrations_at_once_one_is_kept(
    another_store: Callable[[], Store], at: At
) -> None:
    handles = another_store(), another_store()
    await _served(handles[0], at)
    applied = await asyncio.gather(
        *(handles[n % 2].calibrations.apply(_calibration(at)) for n in range(4))
    )
    assert sorted(applied) == [False, False, False, True]
    assert len(await handles[0].policies.history("shop")) == 1
