"""`services.pattern_store.PatternStore`: decisions under the project's lock."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
import pytest
from recording import SPACE, candidate, first, joins, keep

from dedup.assign import Candidate, KnownFingerprint, assign
from dedup.centroid import Centroid
from dedup.geometry import first_geometry
from services.pattern_store import Embedded, Kept, PatternStore, StoredCentroid
from services.store.open import Store

At = Callable[[float], datetime]


def centroid(*total: float, count: int = 1) -> tuple[str, Centroid]:
    return "unknown|", Centroid(np.array(total, dtype=np.float32), count)


async def test_a_decision_is_remembered_exactly(store: Store, at: At) -> None:
    new = first(candidate(at, "a"))
    duplicate = joins(candidate(at, "b"), "p-a", 0.1 + 0.2, grey=True)
    await keep(store, new, duplicate)
    expected = {"a": new.assignment, "b": duplicate.assignment}
    async with store.patterns.reading("shop") as reader:
        assert await reader.decisions(["a", "b", "unknown"]) == expected
        assert await reader.fingerprints(["a", "b", "unknown"]) == {
            "a": KnownFingerprint("p-a", 0.0),
            "b": KnownFingerprint("p-a", 0.1 + 0.2),
        }
        assert await reader.decisions([]) == {}
        assert await reader.fingerprints([]) == {}
    async with store.patterns.locked("shop") as writer:
        assert await writer.decisions(["b"]) == {"b": duplicate.assignment}


async def test_projects_know_nothing_of_each_other(store: Store, at: At) -> None:
    await keep(store, first(candidate(at, "a")), centroids={"p-a": centroid(1, 0)})
    async with store.patterns.locked("bank") as writer:
        assert await writer.decisions(["a"]) == {}
        assert await writer.fingerprints(["a"]) == {}
        assert await writer.centroids(SPACE, ["p-a"]) == {}
        assert await writer.centroids_after(SPACE, 0, limit=9) == []
        assert await writer.embedded(SPACE, ["a"]) == {}


async def test_centroids_are_numbered_in_the_order_they_changed(store: Store, at: At) -> None:
    await keep(
        store,
        first(candidate(at, "a")),
        first(candidate(at, "b")),
        centroids={"p-b": centroid(0, 1), "p-a": centroid(1, 0)},
    )
    await keep(store, first(candidate(at, "c")), centroids={"p-c": centroid(0.5, 2)})
    moved = {"p-b": centroid(0, 2, count=2)}
    await keep(store, joins(candidate(at, "d"), "p-b", vector=(0, 1)), centroids=moved)
    async with store.patterns.locked("shop") as writer:
        found = await writer.centroids_after(SPACE, 0, limit=9)
        assert [(one.seq, one.pattern_id, one.count) for one in found] == [
            (2, "p-a", 1),
            (3, "p-c", 1),
            (4, "p-b", 2),
        ]
        assert np.frombuffer(found[1].total, "<f4").tolist() == [0.5, 2]
        assert [one.seq for one in await writer.centroids_after(SPACE, 2, limit=1)] == [3]
        assert await writer.centroids_after(SPACE, 4, limit=9) == []
        exact = await writer.centroids(SPACE, ["p-b", "p-c", "nothing"])
        assert set(exact) == {"p-b", "p-c"}
        guard, middle = exact["p-b"]
        assert (guard, middle.count, middle.total.tolist()) == ("unknown|", 2, [0, 2])
        assert middle.total.dtype == np.float32


async def test_each_space_numbers_for_itself(store: Store, at: At) -> None:
    await keep(store, first(candidate(at, "a")), centroids={"p-a": centroid(1, 0)})
    await keep(store, centroids={"p-a": centroid(0, 0, 1)}, space="other")
    async with store.patterns.reading("shop") as reader:
        (other,) = await reader.centroids_after("other", 0, limit=9)
        assert (other.seq, np.frombuffer(other.total, "<f4").tolist()) == (1, [0, 0, 1])
        (here,) = await reader.centroids_after(SPACE, 0, limit=9)
        assert here == StoredCentroid(1, "p-a", "unknown|", np.array([1, 0], "<f4").tobytes(), 1)


async def test_a_pattern_that_is_gone_is_told_to_the_index_and_to_nobody_else(
    store: Store, at: At
) -> None:
    await keep(store, first(candidate(at, "a")), centroids={"p-a": centroid(1, 0)})
    await keep(store, centroids={"p-a": centroid(1, 0, count=0)})
    async with store.patterns.reading("shop") as reader:
        assert await reader.centroids(SPACE, ["p-a"]) == {}
        (gone,) = await reader.centroids_after(SPACE, 1, limit=9)
        assert (gone.seq, gone.pattern_id, gone.count) == (2, "p-a", 0)


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
    assert (pattern.text, pattern.embedding_space) == ("text a", SPACE)


async def test_an_error_under_the_lock_takes_everything_back(store: Store, at: At) -> None:
    one = first(candidate(at, "a"))

    async def fail() -> None:
        async with store.patterns.locked("shop") as writer:
            await writer.keep(
                Kept(
                    space=SPACE,
                    decided=[one],
                    centroids={"p-a": centroid(1, 0)},
                    embedded=[Embedded("a", "text a", np.ones(2, dtype=np.float32))],
                )
            )
            assert await writer.decisions(["a"])
            message = "after keeping"
            raise ValueError(message)

    with pytest.raises(ValueError, match="after keeping"):
        await fail()
    async with store.patterns.locked("shop") as writer:
        assert await writer.decisions(["a"]) == {}
        assert await writer.centroids_after(SPACE, 0, limit=9) == []
        assert await writer.embedded(SPACE, ["a"]) == {}
    assert await store.reader.patterns(project=None, limit=10) == []


async def test_being_cancelled_under_the_lock_takes_everything_back_and_frees_the_lock(
    store: Store, at: At
) -> None:
    kept = asyncio.Event()

    async def hold() -> None:
        async with store.patterns.locked("shop") as writer:
            await writer.keep(Kept(space=SPACE, decided=[first(candidate(at, "a"))]))
            kept.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await kept.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60), store.patterns.locked("shop") as writer:
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
            await asyncio.sleep(0)
            assert inside == 1
            inside -= 1

    handles = [another_store() for _ in range(3)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(enter(handles[turn % 3]) for turn in range(30)))


async def test_reading_never_waits_for_the_lock(
    store: Store, another_store: Callable[[], Store], at: At
) -> None:
    other = another_store()
    async with asyncio.timeout(60), store.patterns.locked("shop") as writer:
        await writer.keep(Kept(space=SPACE, decided=[first(candidate(at, "a"))]))
        async with other.patterns.reading("shop") as reader:
            assert await reader.decisions(["a"]) == {}, "not committed yet"


async def decide(
    patterns: PatternStore,
    seen: dict[str, StoredCentroid],
    candidates: Sequence[Candidate],
    vectors: Mapping[str, np.ndarray],
) -> None:
    """What the deduper does: catch up under the lock, decide, keep. Every pattern is near."""
    async with patterns.locked("shop") as writer:
        decided = await writer.decisions([one.event_id for one in candidates])
        last = max((one.seq for one in seen.values()), default=0)
        for stored in await writer.centroids_after(SPACE, last, limit=1000):
            seen[stored.pattern_id] = stored
        names = [one.fingerprint for one in candidates]
        batch = assign(
            [one for one in candidates if one.event_id not in decided],
            known=await writer.fingerprints(names),
            vectors=vectors,
            near={name: list(seen) for name in names},
            centroids=await writer.centroids(SPACE, list(seen)),
            geometry=first_geometry(16),
            distance=0.05,
            band=0.0,
            space=SPACE,
        )
        await asyncio.sleep(0)
        await writer.keep(Kept(space=SPACE, decided=batch.decided, centroids=batch.centroids))


async def test_two_workers_on_the_same_failures_make_no_twins(
    another_store: Callable[[], Store], at: At
) -> None:
    """Four zombies on two connections decide about the same events in different orders."""
    rng = random.Random(7)
    centres = np.random.default_rng(7).normal(size=(25, 16))
    near = np.repeat(centres, 4, axis=0) + np.random.default_rng(8).normal(size=(100, 16)) * 0.01
    units = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    vectors = {str(number): unit for number, unit in enumerate(units)}
    candidates = [candidate(at, f"e{n}", fingerprint=str(n % 100)) for n in range(300)]
    handles = another_store(), another_store()

    async def work(store: Store) -> None:
        seen: dict[str, StoredCentroid] = {}
        mine = rng.sample(candidates, k=len(candidates))
        for start in range(0, len(mine), 5):
            await decide(store.patterns, seen, mine[start : start + 5], vectors)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(handles[worker % 2]) for worker in range(4)))
    patterns = await handles[0].reader.patterns(project="shop", limit=1000)
    members = await handles[0].reader.members(project="shop", pattern_id=None, limit=None)
    assert len(patterns) == 25
    assert sum(one.occurrences for one in patterns) == len(members) == 300
    assert len({one.trace_id for one in members}) == 300
    async with handles[1].patterns.locked("shop") as writer:
        found = await writer.centroids_after(SPACE, 0, limit=1000)
    assert len({one.pattern_id for one in found}) == 25
    assert sum(one.count for one in found) == 100, "every distinct text is in one centroid"
    assert [one.seq for one in found] == sorted({one.seq for one in found})


async def test_text_that_a_database_cannot_hold_is_kept_as_far_as_it_can(
    store: Store, at: At
) -> None:
    odd = Candidate("shop", "a", "t", at(0), "null \x00 and half \ud800 of a pair", "f")
    await keep(store, first(odd))
    (pattern,) = await store.reader.patterns(project="shop", limit=1)
    assert pattern.text == "null \ufffd and half ? of a pair"
    (embedded,) = await store.embeddings.after("shop", SPACE, 0, limit=9)
    assert embedded.text == pattern.text


async def test_a_batch_of_ten_thousand_is_kept_and_found(store: Store, at: At) -> None:
    """More names than fit into one statement's parameters anywhere."""
    decided = [first(candidate(at, "0"))]
    decided += [joins(candidate(at, str(n)), "p-0", vector=(1, 0)) for n in range(1, 10_000)]
    await keep(store, *decided, centroids={"p-0": centroid(10_000, 0, count=10_000)})
    (pattern,) = await store.reader.patterns(project="shop", limit=1)
    assert pattern.occurrences == 10_000
    async with store.patterns.reading("shop") as reader:
        names = [str(n) for n in range(10_000)]
        assert len(await reader.decisions(names)) == 10_000
        assert len(await reader.fingerprints(names)) == 10_000
        assert len(await reader.embedded(SPACE, names)) == 10_000
