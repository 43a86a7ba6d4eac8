"""`services.reembedding.SpaceRecords`: what moving to another space reads and learns."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
from recording import SPACE, candidate, first, joins

from dedup.assign import Decided
from services.pattern_store import Embedded, Kept, Rewritten
from services.store.open import Store

At = Callable[[float], datetime]
VECTOR = np.array([1, 0], dtype=np.float32)


async def _keep(store: Store, decided: list[Decided], *texts: str) -> None:
    embedded = [Embedded(one, f"text {one}", VECTOR, "unknown|") for one in texts]
    async with store.patterns.locked("shop") as writer:
        await writer.keep(Kept(space=SPACE, decided=decided, embedded=embedded))


async def test_texts_and_patterns_are_told_by_project_and_space(store: Store, at: At) -> None:
    await _keep(store, [first(candidate(at, "e1")), first(candidate(at, "e2"))], "e1", "e2")
    assert await store.spaces.texts("shop", SPACE) == 2
    assert await store.spaces.texts("bank", SPACE) == 0
    assert await store.spaces.texts("shop", "another") == 0
    assert await store.spaces.described("shop", ["p-e1", "nobody"]) == {"p-e1": ("text e1", 1)}
    assert await store.spaces.changes("shop") == 0


async def test_of_a_text_the_latest_traces_are_told_the_latest_first(store: Store, at: At) -> None:
    events = [candidate(at, f"e{n}", fingerprint="same") for n in range(5)]
    await _keep(store, [first(one) for one in events[:1]])
    for one in events[1:]:
        joined = joins(one, "p-e0")
        await _keep(store, [joined])
    found = await store.spaces.traces_of("shop", ["same", "unheard of"])
    assert found == {"same": ["trace of e4", "trace of e3", "trace of e2"]}


async def test_a_fingerprint_is_learnt_anew_until_a_failure_has_it(store: Store, at: At) -> None:
    """Between preparing a space and switching to it, its pattern may be split."""
    await _keep(store, [first(candidate(at, "e1")), first(candidate(at, "e2"))])
    await store.spaces.learn("shop", _told("e1"))
    await store.spaces.learn("shop", _told("e2"))
    await store.spaces.learn("shop", Rewritten(before="1", text="2", now={}, first={}))
    await _keep(store, [joins(candidate(at, "e3", fingerprint="new"), "p-e2")])
    await store.spaces.learn("shop", _told("e1"))
    async with store.patterns.reading("shop") as reader:
        assert (await reader.fingerprints(["new"]))["new"].pattern_id == "p-e2"


def _told(old: str) -> Rewritten:
    """The text of this fingerprint has another one, "new", from now on."""
    return Rewritten(before="1", text="2", now={old: "new"}, first={"new": old})
