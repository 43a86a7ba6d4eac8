"""`services.deduper.PatternStore`."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import pytest

from dedup.assign import Candidate, Decided, KnownFingerprint, assign
from dedup.events import Assignment
from dedup.index import Index
from services.deduper import PatternStore
from services.store.open import Store

SPACE = "hashing/4/1"
At = Callable[[float], datetime]


def candidate(
    at: At, event: str, *, fingerprint: str | None = None, seconds: float = 0
) -> Candidate:
    return Candidate("shop", event, f"trace of {event}", at(seconds), event, fingerprint or event)


def first(one: Candidate, vector: Sequence[float] = (1, 0), space: str = SPACE) -> Decided:
    """A decision that makes the candidate the representative of pattern `p-<event>`."""
    assignment = Assignment(
        pattern_id=f"p-{one.event_id}",
        decided_by="first",
        distance=0.0,
        fingerprint=one.fingerprint,
        embedding_space=space,
    )
    return Decided(one, assignment, np.array(vector, dtype=np.float32))


def joins(one: Candidate, pattern_id: str, distance: float = 0.125) -> Decided:
    assignment = Assignment(
        pattern_id=pattern_id,
        decided_by="embedding",
        distance=distance,
        nearest_distance=distance,
        fingerprint=one.fingerprint,
        embedding_space=SPACE,
    )
    return Decided(one, assignment)


async def keep(store: Store, *decided: Decided, project: str = "shop") -> None:
    async with store.patterns.locked(project) as writer:
        await writer.keep(decided)


async def test_a_decision_is_remembered_exactly(store: Store, at: At) -> None:
    new = first(candidate(at, "a"))
    duplicate = joins(candidate(at, "b"), "p-a", 0.1 + 0.2)
    await keep(store, new, duplicate)
    expected = {"a": new.assignment, "b": duplicate.assignment}
    async with store.patterns.reading("shop") as reader:
        assert await reader.decisions(["a", "b", "unknown"]) == expected
        assert await reader.fingerprints(["a", "b", "unknown"]) == {
            "a": KnownFingerprint("p-a", 0.0),
            "b": KnownFingerprint("p-a", 0.1 + 0.2),
        }
    async with store.patterns.locked("shop") as writer:
        assert await writer.decisions(["b"]) == {"b": duplicate.assignment}


async def test_projects_know_nothing_of_each_other(store: Store, at: At) -> None:
    await keep(store, first(candidate(at, "a")))
    async with store.patterns.locked("bank") as writer:
        assert await writer.decisions(["a"]) == {}
        assert await writer.fingerprints(["a"]) == {}
        assert await writer.patterns_after(SPACE, 0) == []


async def test_patterns_are_numbered_from_one_in_each_space(store: Store, at: At) -> None:
    await keep(store, first(candidate(at, "a"), (1, 0)), first(candidate(at, "b"), (0, 1)))
    await keep(store, first(candidate(at, "c"), space="other"), first(candidate(at, "d"), (0.5, 2)))
    async with store.patterns.locked("shop") as writer:
        patterns = await writer.patterns_after(SPACE, 0)
        assert [(one.seq, one.pattern_id) for one in patterns] == [
            (1, "p-a"),
            (2, "p-b"),
            (3, "p-d"),
        ]
        assert np.frombuffer(patterns[2].vector, "<f4").tolist() == [0.5, 2]
        assert [one.seq for one in await writer.patterns_after(SPACE, 2)] == [3]
        assert [one.pattern_id for one in await writer.patterns_after("other", 0)] == ["p-c"]


async def test_an_event_that_is_decided_twice_counts_once(store: Store, at: At) -> None:
    """The first decision stays, in one batch and over batches."""
    one = candidate(at, "a")
    await keep(store, first(one), joins(one, "p-a"))
    await keep(store, joins(one, "p-a"))
    async with store.patterns.reading("shop") as reader:
        assert (await reader.decisions(["a"]))["a"].decided_by == "first"
    (pattern,) = await store.reader.patterns(project="shop", limit=10)
    assert pattern.occurrences == 1


async def test_a_pattern_counts_its_occurrences_and_knows_first_and_last(
    store: Store, at: At
) -> None:
    await keep(store, first(candidate(at, "a", seconds=50)))
    later, earlier = candidate(at, "b", seconds=90), candidate(at, "c", seconds=10)
    await keep(store, joins(later, "p-a"), joins(earlier, "p-a"))
    (pattern,) = await store.reader.patterns(project="shop", limit=10)
    assert pattern.occurrences == 3
    assert (pattern.first_failed_at, pattern.last_failed_at) == (at(10), at(90))
    assert (pattern.text, pattern.embedding_space) == ("a", SPACE)


async def test_an_error_under_the_lock_takes_everything_back(store: Store, at: At) -> None:
    async def fail() -> None:
        async with store.patterns.locked("shop") as writer:
            await writer.keep([first(candidate(at, "a"))])
            assert await writer.decisions(["a"])
            message = "after keeping"
            raise ValueError(message)

    with pytest.raises(ValueError, match="after keeping"):
        await fail()
    async with store.patterns.locked("shop") as writer:
        assert await writer.decisions(["a"]) == {}
        assert await writer.patterns_after(SPACE, 0) == []
    assert await store.reader.patterns(project=None, limit=10) == []


async def test_being_cancelled_under_the_lock_takes_everything_back_and_frees_the_lock(
    store: Store, at: At
) -> None:
    kept = asyncio.Event()

    async def hold() -> None:
        async with store.patterns.locked("shop") as writer:
            await writer.keep([first(candidate(at, "a"))])
            kept.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await kept.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), store.patterns.locked("shop") as writer:
        assert await writer.decisions(["a"]) == {}


async def test_the_lock_has_one_holder_over_all_handles(
    another_store: Callable[[], Store],
) -> None:
    inside = 0

    async def enter(store: Store) -> None:
        nonlocal inside
        async with store.patterns.locked("shop") as writer:
            inside += 1
            assert inside == 1
            await writer.decisions(["a"])
            await asyncio.sleep(0.005)
            assert inside == 1
            inside -= 1

    handles = [another_store() for _ in range(3)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(enter(handles[turn % 3]) for turn in range(30)))


async def test_reading_never_waits_for_the_lock(
    store: Store, another_store: Callable[[], Store], at: At
) -> None:
    other = another_store()
    async with asyncio.timeout(5), store.patterns.locked("shop") as writer:
        await writer.keep([first(candidate(at, "a"))])
        async with other.patterns.reading("shop") as reader:
            assert await reader.decisions(["a"]) == {}, "not committed yet"


async def decide(
    patterns: PatternStore, index: Index, candidates: Sequence[Candidate], vectors: np.ndarray
) -> None:
    """What the deduper does: catch up under the lock, decide, keep."""
    async with patterns.locked("shop") as writer:
        decided = await writer.decisions([one.event_id for one in candidates])
        for stored in await writer.patterns_after(SPACE, index.seq):
            index.add(stored.seq, stored.pattern_id, np.frombuffer(stored.vector, "<f4"))
        new = assign(
            [one for one in candidates if one.event_id not in decided],
            known=await writer.fingerprints([one.fingerprint for one in candidates]),
            vectors={one.fingerprint: vectors[int(one.fingerprint)] for one in candidates},
            index=index,
            distance=0.05,
            space=SPACE,
        )
        await asyncio.sleep(0)
        await writer.keep(new)


async def test_two_workers_on_the_same_failures_make_no_twins(
    another_store: Callable[[], Store], at: At
) -> None:
    """Four zombies on two connections decide about the same events in different orders."""
    rng = random.Random(7)
    centres = np.random.default_rng(7).normal(size=(25, 16))
    near = np.repeat(centres, 4, axis=0) + np.random.default_rng(8).normal(size=(100, 16)) * 0.01
    vectors = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    candidates = [candidate(at, f"e{n}", fingerprint=str(n % 100)) for n in range(300)]
    handles = another_store(), another_store()

    async def work(store: Store) -> None:
        index, mine = Index(), rng.sample(candidates, k=len(candidates))
        for start in range(0, len(mine), 5):
            await decide(store.patterns, index, mine[start : start + 5], vectors)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(handles[worker % 2]) for worker in range(4)))
    patterns = await handles[0].reader.patterns(project="shop", limit=1000)
    members = await handles[0].reader.members(project="shop", pattern_id=None, limit=None)
    assert len(patterns) == 25
    assert sum(one.occurrences for one in patterns) == len(members) == 300
    assert len({one.trace_id for one in members}) == 300
    async with handles[1].patterns.locked("shop") as writer:
        seqs = [one.seq for one in await writer.patterns_after(SPACE, 0)]
    assert seqs == list(range(1, 26))


async def test_text_that_a_database_cannot_hold_is_kept_as_far_as_it_can(
    store: Store, at: At
) -> None:
    odd = Candidate("shop", "a", "t", at(0), "null \x00 and half \ud800 of a pair", "f")
    await keep(store, first(odd))
    (pattern,) = await store.reader.patterns(project="shop", limit=1)
    assert pattern.text == "null \ufffd and half ? of a pair"
