"""After a switch to another text policy, what people say about an old text holds for the new one."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from recording import SPACE, Recording, candidate, first, joins, keep

from dedup.policy import TextPolicy
from services.labelling import PairLabel, settle_grey
from services.pattern_changes import NotPossible
from services.pattern_store import Embedded, Kept, Rewritten, Serving
from services.store.open import Store

At = Callable[[float], datetime]
THEN = "hashing-4/1/text-2"
SAID: dict[str, Any] = {"by": "ada", "reason": "because"}


@pytest.fixture
async def shop(store: Store, at: At) -> Recording:
    """A pattern of three texts, of which two failed twice; the space that serves is the first."""
    project = Recording(store, at)
    root = await project.fail("e1", "one")
    await project.fail("e2", "two", into=root, vector=(0, 1, 0, 0))
    await project.fail("e3", "two")
    await project.fail("e4", "three", into=root, vector=(0, 0, 1, 0))
    await serve(store, at, SPACE)
    return project


async def serve(store: Store, at: At, space: str) -> None:
    async with store.patterns.locked("shop") as writer:
        now = await writer.serving()
        ordinal = 1 if now is None else now.ordinal + 1
        serving = Serving(
            ordinal=ordinal,
            space=space,
            encoder="hashing-4/1",
            text=TextPolicy(),
            by="ann",
            reason="",
            at=at(0),
        )
        await writer.serve(serving)


async def rewrite(
    store: Store,
    *,
    before: str = "1",
    text: str = "2",
    first: dict[str, str] | None = None,
    **now: str,
) -> None:
    """Learn what texts are in another way of writing them."""
    firsts = {new: old for old, new in reversed(now.items())} if first is None else first
    await store.spaces.learn("shop", Rewritten(before=before, text=text, now=now, first=firsts))


async def fails_now(store: Store, at: At, event: str, text: str) -> str:
    """A failure after the switch; its pattern, which its fingerprint tells."""
    async with store.patterns.locked("shop") as writer:
        known = (await writer.fingerprints([text]))[text]
        one = joins(candidate(at, event, fingerprint=text, guard="model|"), known.pattern_id)
        assignment = msgspec.structs.replace(one.assignment, embedding_space=THEN)
        decided = msgspec.structs.replace(one, assignment=assignment)
        await writer.keep(Kept(space=THEN, decided=[decided]))
    return known.pattern_id


async def test_a_split_of_an_old_failure_takes_the_failures_to_come(
    shop: Recording, store: Store, at: At
) -> None:
    await rewrite(store, one="uno", two="due", three="tre")
    await serve(store, at, THEN)
    assert await fails_now(store, at, "e5", "due") == "p-e1"
    change = await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    made = change.detail["to"]
    assert change.detail["fingerprints"] == ["due", "two"]
    assert await fails_now(store, at, "e6", "due") == made
    assert await fails_now(store, at, "e7", "tre") == "p-e1"
    assert await shop.members() == {
        "e1": "p-e1",
        "e2": made,
        "e3": made,
        "e4": "p-e1",
        "e5": made,
        "e6": made,
        "e7": "p-e1",
    }


async def test_undoing_it_takes_them_back(shop: Recording, store: Store, at: At) -> None:
    change = await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    await rewrite(store, one="uno", two="due", three="tre")
    await serve(store, at, THEN)
    assert await fails_now(store, at, "e5", "due") == change.detail["to"]
    await store.changes.undo("shop", change.change_id, at=at(60), **SAID)
    assert await fails_now(store, at, "e6", "due") == "p-e1"
    assert set((await shop.members()).values()) == {"p-e1"}
    assert (await shop.patterns()) == {"p-e1": 6}


async def test_undoing_a_merge_takes_the_failures_that_came_since_along(
    shop: Recording, store: Store, at: At
) -> None:
    """They were counted to the pattern that their old text was merged into."""
    other = await shop.fail("e8", "eight", vector=(0, 0, 0, 1))
    change = await store.changes.merge("shop", "p-e1", [other], at=at(50), **SAID)
    await rewrite(store, one="uno", eight="otto")
    await serve(store, at, THEN)
    assert await fails_now(store, at, "e9", "otto") == "p-e1"
    await store.changes.undo("shop", change.change_id, at=at(60), **SAID)
    assert await fails_now(store, at, "e10", "otto") == other
    members = await shop.members()
    assert {event for event, one in members.items() if one == other} == {"e8", "e9", "e10"}


async def test_texts_that_have_become_one_are_one_failure(
    shop: Recording, store: Store, at: At
) -> None:
    """They cannot be told apart any more: who splits one off means both."""
    await rewrite(store, one="uno", two="due", three="due")
    await serve(store, at, THEN)
    change = await store.changes.split("shop", "p-e1", ["e4"], at=at(50), **SAID)
    assert change.detail["fingerprints"] == ["due", "three", "two"]
    assert change.detail["count"] == 3


async def test_another_pattern_s_text_that_is_written_the_same_now_stays_where_it_is(
    shop: Recording, store: Store, at: At
) -> None:
    other = await shop.fail("e8", "eight", vector=(0, 0, 0, 1))
    await rewrite(store, one="uno", two="due", eight="due")
    await serve(store, at, THEN)
    change = await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    assert change.detail["fingerprints"] == ["due", "two"]
    assert (await shop.members())["e8"] == other


async def test_what_is_prepared_and_not_switched_changes_nothing(
    shop: Recording, store: Store, at: At
) -> None:
    await rewrite(store, one="uno", two="due", three="due")
    change = await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    assert change.detail["fingerprints"] == ["two"]


async def test_everything_that_is_left_cannot_be_split_off(
    shop: Recording, store: Store, at: At
) -> None:
    await rewrite(store, one="due", two="due", three="due")
    await serve(store, at, THEN)
    with pytest.raises(NotPossible, match="Nothing would be left"):
        await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    assert await shop.patterns() == {"p-e1": 4}


async def test_a_third_way_of_writing_is_followed_from_the_first(
    shop: Recording, store: Store, at: At
) -> None:
    await rewrite(store, two="due")
    await serve(store, at, THEN)
    await rewrite(store, before="2", text="3", due="deux")
    await serve(store, at, "hashing-4/1/text-3")
    assert await store.spaces.traces_of("shop", ["deux"]) == {
        "deux": ["trace of e3", "trace of e2"]
    }
    change = await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    assert change.detail["fingerprints"] == ["deux", "due", "two"]


async def test_going_back_finds_the_texts_as_they_were(
    shop: Recording, store: Store, at: At
) -> None:
    """The archive may be empty by then; and a text that two others have become is the earlier one."""
    await rewrite(store, two="due", three="due")
    await serve(store, at, THEN)
    found = await store.spaces.written_before("shop", SPACE, "2", ["due", "quattro"])
    assert found == {"due": ("two", "text two")}
    await fails_now(store, at, "e5", "due")
    await rewrite(store, before="2", text="1", due="two")
    await serve(store, at, SPACE)
    change = await store.changes.split("shop", "p-e1", ["e2"], at=at(50), **SAID)
    assert change.detail["fingerprints"] == ["due", "two"], "three is itself again"
    assert await shop.patterns() == {"p-e1": 2, change.detail["to"]: 3}


async def test_answers_are_about_the_texts_as_they_are_now(
    shop: Recording, store: Store, at: At
) -> None:
    def said(first: str, second: str, verdict: Any, seconds: float) -> PairLabel:
        return PairLabel(
            project="shop",
            first=first,
            second=second,
            verdict=verdict,
            source="label",
            by="ann",
            at=at(seconds),
        )

    for one in (
        said("one", "two", "same", 1),
        said("one", "three", "different", 2),
        said("three", "two", "same", 3),
    ):
        await store.labels.keep(one)
    await rewrite(store, one="uno", two="due", three="due")
    assert len(await store.labels.every("shop")) == 3
    await serve(store, at, THEN)
    assert await store.labels.every("shop") == [said("due", "uno", "different", 2)]


async def test_the_history_is_of_the_texts_as_they_are_now(
    shop: Recording, store: Store, at: At
) -> None:
    await rewrite(store, one="uno", two="due", three="due")
    await serve(store, at, THEN)
    vector = np.array([1, 0, 0, 0], dtype=np.float32)
    texts = [Embedded(name, f"text {name}", vector, "model|") for name in ("uno", "due")]
    async with store.patterns.locked("shop") as writer:
        await writer.keep(Kept(space=THEN, decided=(), embedded=texts))
    recorded = await store.knob.history("shop")
    assert recorded is not None
    assert recorded.without_vector == 0
    assert list(recorded.history.fingerprints) == ["uno", "due"]
    assert recorded.history.occurrences.tolist() == [1, 3]
    assert await store.knob.arrivals("shop") == ["uno", "due", "due", "due"]
    assert await store.knob.events("shop", ["p-e1"]) == {"uno": "e1", "due": "e2"}


async def test_a_text_is_split_off_by_a_failure_of_the_pattern_that_it_belongs_to(
    shop: Recording, store: Store, at: At
) -> None:
    """Another pattern's failure, with the lowest of ids, is written the same now."""
    other = await shop.fail("a8", "eight", vector=(0, 0, 0, 1))
    await shop.fail("e9", "nine", into=other, vector=(0, 0, 1, 1))
    await rewrite(store, one="uno", two="due", eight="due", nine="nove")
    await serve(store, at, THEN)
    events = await store.knob.events("shop", ["p-e1", other])
    assert {one: events[one] for one in ("due", "nove")} == {"due": "e2", "nove": "e9"}
    change = await store.changes.split("shop", "p-e1", [events["due"]], at=at(50), **SAID)
    assert change.detail["fingerprints"] == ["due", "two"]


async def test_a_review_closes_the_doubtful_decisions_about_the_same_text_before(
    store: Store, at: At
) -> None:
    await keep(store, first(candidate(at, "a", guard="model|")))
    for event, text in (("b", "earlier"), ("c", "now")):
        doubtful = candidate(at, event, fingerprint=text, guard="model|")
        await keep(store, joins(doubtful, "p-a", 0.4, vector=(0, 1), grey=True))
    await serve(store, at, SPACE)
    await rewrite(store, a="alpha", earlier="now")
    await serve(store, at, THEN)
    waiting = await store.grey.undecided("shop", limit=9)
    assert {one.fingerprint for one in waiting} == {"now"}
    assert {one.pattern_fingerprint for one in waiting} == {"alpha"}
    change = await settle_grey(
        waiting[0],
        "different",
        decisions=store.grey,
        changes=store.changes,
        by="ann",
        reason="",
        at=at(60),
    )
    assert change is not None
    assert change.detail["fingerprints"] == ["earlier", "now"]
    assert await store.grey.undecided("shop", limit=9) == []
    (kept,) = await store.labels.every("shop")
    assert (kept.first, kept.second, kept.verdict) == ("alpha", "now", "different")
    await store.changes.undo("shop", change.change_id, at=at(70), **SAID)
    assert len(await store.grey.undecided("shop", limit=9)) == 2
    assert await store.grey.undecided("shop", limit=9, untouched=True) == []
    assert await store.labels.every("shop") == []
