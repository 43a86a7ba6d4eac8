from collections.abc import Callable, Sequence
from typing import Any

import pytest

from capture.events import Failure
from dedup.events import Assigned
from dedup.policy import DedupPolicy
from services.deduper import Deduper
from services.errors import Unavailable
from services.policy import Policies, Policy
from services.stream.outcome import DeadLetter, Emit, Outcome

Make = Callable[..., Failure]


@pytest.fixture
def deduper(pattern_store: Any, embedder: Any, policies: Policies) -> Deduper:
    return Deduper(pattern_store, embedder, policies)


def _assigned(outcomes: Sequence[Outcome]) -> list[Assigned]:
    events = [outcome.event for outcome in outcomes if isinstance(outcome, Emit)]
    assert len(events) == len(outcomes)
    return [event for event in events if isinstance(event, Assigned)]


def _how(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    return [(one.assignment.pattern_id, one.assignment.decided_by) for one in _assigned(outcomes)]


async def test_failures_that_read_the_same_are_one_pattern_and_embedded_once(
    deduper: Deduper, make_failure: Make, embedder: Any
) -> None:
    batch = [make_failure(f"t{n}", input=f"where is order {n}?") for n in range(5)]
    (first, *others) = _how(await deduper.handle(batch))
    assert first[1] == "first"
    assert others == [(first[0], "fingerprint")] * 4
    assert embedder.asked == ["where is order 0?"]


async def test_what_is_near_joins_and_what_is_far_does_not(
    deduper: Deduper, make_failure: Make
) -> None:
    (first, near, far) = _assigned(
        await deduper.handle(
            [
                make_failure("t1", input="where is my parcel please"),
                make_failure("t2", input="where is my parcel, please tell"),
                make_failure("t3", input="cancel the subscription now"),
            ]
        )
    )
    assert near.assignment.decided_by == "embedding"
    assert near.assignment.pattern_id == first.assignment.pattern_id
    assert 0 < near.assignment.distance <= 0.3
    assert far.assignment.decided_by == "first"
    assert far.assignment.nearest_distance is not None


async def test_a_redelivered_failure_gets_the_decision_it_had_without_any_work(
    deduper: Deduper, make_failure: Make, embedder: Any, pattern_store: Any
) -> None:
    """A failure must never be taken for a near-duplicate of itself."""
    batch = [make_failure("t1", input="where is my parcel"), make_failure("t2", input="hello")]
    before = await deduper.handle(batch)
    work = (list(embedder.asked), list(pattern_store.locks))
    assert await deduper.handle(batch) == before
    assert (embedder.asked, pattern_store.locks) == work


async def test_a_failure_twice_in_one_batch_is_decided_once_and_answered_twice(
    deduper: Deduper, make_failure: Make, pattern_store: Any
) -> None:
    """The second must not turn the representative into a duplicate: no case would be made."""
    one = make_failure("t1", input="where is my parcel")
    first, again = _how(await deduper.handle([one, one]))
    assert first == again
    assert first[1] == "first"
    assert len(pattern_store.kept) == 1


async def test_projects_of_one_batch_are_decided_apart_and_answered_in_order(
    deduper: Deduper, make_failure: Make, pattern_store: Any
) -> None:
    batch = [
        make_failure(f"t{n}", project=project, input="where is my parcel")
        for n, project in enumerate(["shop", "bank", "shop", "bank"])
    ]
    assigned = _assigned(await deduper.handle(batch))
    assert [one.failure for one in assigned] == batch
    patterns = [one.assignment.pattern_id for one in assigned]
    assert patterns[0] == patterns[2] != patterns[1] == patterns[3]
    assert pattern_store.locks == ["shop", "bank"]


async def test_a_text_without_a_vector_is_a_dead_letter_and_takes_nobody_along(
    deduper: Deduper, make_failure: Make, pattern_store: Any
) -> None:
    good, bad, also_good = await deduper.handle(
        [
            make_failure("t1", input="where is my parcel"),
            make_failure("t2", input="unembeddable nonsense"),
            make_failure("t3", input="cancel the subscription now"),
        ]
    )
    assert bad == DeadLetter("handler_error", "no vector for this one")
    assert isinstance(good, Emit)
    assert isinstance(also_good, Emit)
    assert [one.candidate.trace_id for one in pattern_store.kept] == ["t1", "t3"]


async def test_after_an_error_under_the_lock_nothing_remains_of_what_was_rolled_back(
    deduper: Deduper, make_failure: Make, pattern_store: Any, policies: Policies
) -> None:
    """An index that kept the lost pattern would send failures to a pattern nobody has."""
    await deduper.handle([make_failure("t0", input="where is my parcel")])
    pattern_store.fail_after_keep = Unavailable("the database went away")
    with pytest.raises(Unavailable):
        await deduper.handle([make_failure("t1", input="cancel the subscription now")])
    (pattern_id, decided_by), *_ = _how(
        await deduper.handle([make_failure("t2", input="cancel the subscription, now")])
    )
    assert decided_by == "first"
    kept = {row.pattern_id for row in pattern_store.projects["shop"].patterns["hashing/1"]}
    assert pattern_id in kept
    assert len(kept) == 2


async def test_two_workers_on_the_same_failures_make_no_twins(
    make_failure: Make, pattern_store: Any, embedder: Any, policies: Policies
) -> None:
    """The second catches up under the lock with what the first decided after it had looked."""
    one, two = (Deduper(pattern_store, embedder, policies) for _ in range(2))
    await one.handle([make_failure("t0", input="hello there")])
    await two.handle([make_failure("t1", input="hello, there")])
    batch = [make_failure("t2", input="where is my parcel please")]
    near = [make_failure("t3", input="where is my parcel, please tell")]
    decided_by_one: list[Outcome] = []

    class _Overtaken:
        space = embedder.space

        async def ready(self) -> None:
            pass

        async def embed(self, texts: Sequence[str]) -> Any:
            decided_by_one.extend(await one.handle(batch))
            return await embedder.embed(texts)

    two._embedder = _Overtaken()
    outcomes = await two.handle([*batch, *near])
    first, joined = _how(outcomes)
    assert [first] == _how(decided_by_one)
    assert joined == (first[0], "embedding")
    assert len(pattern_store.projects["shop"].patterns["hashing/1"]) == 2


async def test_a_new_process_finds_the_patterns_of_the_one_before(
    deduper: Deduper, make_failure: Make, pattern_store: Any, embedder: Any, policies: Policies
) -> None:
    ((pattern_id, _),) = _how(await deduper.handle([make_failure("t1", input="my parcel is late")]))
    restarted = Deduper(pattern_store, embedder, policies)
    outcomes = await restarted.handle([make_failure("t2", input="my parcel is too late")])
    assert _how(outcomes) == [(pattern_id, "embedding")]


async def test_the_projects_own_dedup_distance_decides(
    deduper: Deduper, make_failure: Make, policy_store: Any
) -> None:
    policy_store.policies["strict"] = Policy(dedup=DedupPolicy(distance=0))
    texts = ("where is my parcel please", "where is my parcel, please tell")
    for project, patterns in (("shop", 1), ("strict", 2)):
        batch = [
            make_failure(f"{project}-{n}", project=project, input=text)
            for n, text in enumerate(texts)
        ]
        assert len({pattern for pattern, _ in _how(await deduper.handle(batch))}) == patterns


async def test_patterns_of_another_embedding_space_are_not_compared_with(
    deduper: Deduper, make_failure: Make, pattern_store: Any, embedder: Any, policies: Policies
) -> None:
    """After a change of model only fingerprints still join old patterns."""
    ((old, _),) = _how(await deduper.handle([make_failure("t1", input="my parcel is late")]))
    embedder.space = "other/1"
    after = Deduper(pattern_store, embedder, policies)
    same, near = _how(
        await after.handle(
            [
                make_failure("t2", input="My parcel is late!"),
                make_failure("t3", input="my parcel is too late"),
            ]
        )
    )
    assert same == (old, "fingerprint")
    assert near[1] == "first"


async def test_it_is_ready_when_the_model_is(deduper: Deduper, embedder: Any) -> None:
    await deduper.ready()
    assert embedder.waits == 1


async def test_a_failure_without_any_text_has_a_pattern_too(
    deduper: Deduper, make_failure: Make
) -> None:
    outcomes = _how(await deduper.handle([make_failure("t1"), make_failure("t2")]))
    assert [how for _, how in outcomes] == ["first", "fingerprint"]
