from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from capture.events import Failure
from dedup.encoders.hashing import HashingEncoder
from dedup.events import Assigned
from dedup.policy import DedupPolicy, TextPart, TextPolicy
from services.deduper import Deduper
from services.encoders import Encoders
from services.errors import Unavailable
from services.pattern_store import Serving
from services.policy import Policies, Policy
from services.reembedding import NotSwitched, Reembedding, Target
from services.space_preview import SpacePreview
from services.stream.outcome import Emit, Outcome

Make = Callable[..., Failure]
NOW = datetime(2026, 1, 2, tzinfo=UTC)
OTHER = "mirror@1/ngrams-256"
ONLY_TURNS = TextPolicy(parts=(TextPart(part="turns", chars=300),))
TEXTS = (
    "where is my parcel please",
    "where is my parcel, please tell",
    "cancel the subscription now",
    "the invoice has the wrong address",
    "voucher is refused at checkout",
    "voucher was refused at the checkout",
)


class Mirror:
    """An encoder of its own: the hashing one on the text read backwards."""

    def __init__(self, encoder: str = OTHER) -> None:
        self.encoder = encoder
        self.asked: list[str] = []
        self.fails_after: int | None = None

    def start(self) -> None:
        pass

    async def ready(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            message = "killed in the middle"
            raise Unavailable(message)
        self.asked.extend(texts)
        vectors: Sequence[np.ndarray | str] = list(
            HashingEncoder().encode([text[::-1] for text in texts])
        )
        return vectors


class Archive:
    """Failures by trace id, as far as they are archived."""

    def __init__(self) -> None:
        self.failures: dict[str, Failure] = {}

    async def of(self, project: str, trace_id: str) -> Failure | None:
        return self.failures.get(trace_id)


@pytest.fixture
def mirror() -> Mirror:
    return Mirror()


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def make_deduper(
    patterns: Any, encoders: Encoders, policies: Policies, indexes: Any, policy_store: Any
) -> Callable[..., Deduper]:
    policy_store.policies["shop"] = Policy(dedup=DedupPolicy(distance=0.3, grey_band=0))

    def make(other: Encoders | None = None) -> Deduper:
        return Deduper(patterns, other or encoders, indexes, policies, clock=lambda: NOW)

    return make


@pytest.fixture
def reembedding(store: Any, patterns: Any, archive: Archive, mirror: Mirror) -> Reembedding:
    return Reembedding(patterns, store.embeddings, store.spaces, archive, mirror, clock=lambda: NOW)


@pytest.fixture
def preview(store: Any) -> SpacePreview:
    return SpacePreview(store.patterns, store.embeddings, store.spaces)


@pytest.fixture
def with_both(embedder: Any, mirror: Mirror) -> Encoders:
    """The encoders of a process that has both models."""
    return Encoders(embedder, {OTHER: mirror}.__getitem__)


@pytest.fixture
def filled(
    make_deduper: Callable[..., Deduper], make_failure: Make, archive: Archive
) -> Callable[[], Awaitable[list[str]]]:
    """Decides about the six texts; their patterns. Their traces are archived."""

    async def fill() -> list[str]:
        batch = [make_failure(f"t{n}", input=text) for n, text in enumerate(TEXTS)]
        archive.failures.update({one.trace_id: one for one in batch})
        return _patterns(await make_deduper().handle(batch))

    return fill


def _patterns(outcomes: Sequence[Outcome]) -> list[str]:
    found = [one.event for one in outcomes if isinstance(one, Emit)]
    return [one.assignment.pattern_id for one in found if isinstance(one, Assigned)]


async def _serving(patterns: Any) -> Serving:
    async with patterns.reading("shop") as store:
        serving: Serving | None = await store.serving()
    assert serving is not None
    return serving


async def _centroids(patterns: Any, space: str) -> dict[str, int]:
    async with patterns.reading("shop") as store:
        rows = await store.centroids_after(space, 0, limit=1000)
    return {row.pattern_id: row.count for row in rows if row.count}


async def test_patterns_keep_their_ids_and_nothing_that_serves_is_touched(
    filled: Any, reembedding: Reembedding, patterns: Any, mirror: Mirror
) -> None:
    before = await filled()
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    prepared = await reembedding.prepare("shop", serving, target)
    assert (prepared.texts, prepared.embedded, prepared.patterns) == (6, 6, len(set(before)))
    assert await _centroids(patterns, target.space) == await _centroids(patterns, serving.space)
    assert set(await _centroids(patterns, target.space)) == set(before)
    assert await _serving(patterns) == serving


async def test_what_is_prepared_is_not_embedded_again_and_a_killed_run_goes_on(
    filled: Any, reembedding: Reembedding, patterns: Any, mirror: Mirror, monkeypatch: Any
) -> None:
    await filled()
    monkeypatch.setattr("services.reembedding._PAGE", 2)
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    mirror.fails_after = 4
    with pytest.raises(Unavailable):
        await reembedding.prepare("shop", serving, target)
    mirror.fails_after = None
    assert (await reembedding.prepare("shop", serving, target)).embedded == 2
    assert (await reembedding.prepare("shop", serving, target)).embedded == 0
    assert len(mirror.asked) == len(set(mirror.asked)) == 6


async def test_a_switch_is_taken_over_by_a_running_deduper_with_every_pattern(
    filled: Any,
    reembedding: Reembedding,
    patterns: Any,
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
    with_both: Encoders,
) -> None:
    before = await filled()
    running = make_deduper(with_both)
    await running.handle([make_failure("t10", input="something new altogether")])
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    prepared, switched = await reembedding.switch(
        "shop", serving, target, by="ann", reason="the compiled model"
    )
    assert prepared.embedded == 7
    assert (switched.ordinal, switched.by, switched.reason) == (2, "ann", "the compiled model")
    outcomes = await running.handle(
        [
            make_failure("t11", input="cancel the subscription, now"),
            make_failure("t12", input="please cancel the subscription now"),
        ]
    )
    assert _patterns(outcomes) == [before[2], before[2]]
    events = [one.event for one in outcomes if isinstance(one, Emit)]
    assert {one.assignment.embedding_space for one in events} == {target.space}  # type: ignore[attr-defined]


async def test_what_comes_while_it_is_prepared_is_caught_up_with_at_the_switch(
    filled: Any,
    reembedding: Reembedding,
    patterns: Any,
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
) -> None:
    """Between the last look and the lock, too: nothing may be missing in what serves."""
    await filled()
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    await reembedding.prepare("shop", serving, target)
    deduper = make_deduper()
    await deduper.handle([make_failure("t20", input="colours differ from the picture")])
    laid = reembedding._lay_centroids

    async def and_then_another(run: Any) -> None:
        await laid(run)
        await deduper.handle([make_failure("t21", input="the size table is in inches")])

    reembedding._lay_centroids = and_then_another  # type: ignore[method-assign]
    await reembedding.switch("shop", serving, target, by="ann", reason="")
    assert await _centroids(patterns, target.space) == await _centroids(patterns, serving.space)


async def test_going_back_brings_the_former_space_up_to_date(
    filled: Any,
    reembedding: Reembedding,
    store: Any,
    patterns: Any,
    archive: Archive,
    embedder: Any,
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
    with_both: Encoders,
) -> None:
    await filled()
    first = await _serving(patterns)
    target = Target(OTHER, first.text)
    _, second = await reembedding.switch("shop", first, target, by="ann", reason="")
    running = make_deduper(with_both)
    (made,) = _patterns(await running.handle([make_failure("t30", input="colours differ")]))
    back = Reembedding(
        patterns, store.embeddings, store.spaces, archive, embedder, clock=lambda: NOW
    )
    prepared, third = await back.switch(
        "shop", second, Target(first.encoder, first.text), by="ann", reason="back"
    )
    assert (prepared.embedded, third.space, third.ordinal) == (1, first.space, 3)
    (again,) = _patterns(await running.handle([make_failure("t31", input="colours, differ!!")]))
    assert again == made
    assert made in await _centroids(patterns, first.space)


async def test_a_switch_that_somebody_else_made_first_is_not_overridden(
    filled: Any, reembedding: Reembedding, patterns: Any
) -> None:
    await filled()
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    await reembedding.switch("shop", serving, target, by="ann", reason="")
    with pytest.raises(NotSwitched, match="by ann"):
        await reembedding.switch("shop", serving, target, by="bob", reason="")


async def test_a_run_that_was_overtaken_writes_nothing_into_what_serves_now(
    filled: Any,
    reembedding: Reembedding,
    patterns: Any,
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
    with_both: Encoders,
) -> None:
    """It has read patterns as they were before: what came since would be gone for the index."""
    await filled()
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    await reembedding.switch("shop", serving, target, by="ann", reason="")
    await make_deduper(with_both).handle([make_failure("t50", input="colours differ")])
    centroids = await _centroids(patterns, target.space)
    wanted = reembedding._centroids._wanted

    async def as_it_was(project: str, space: str) -> Any:
        found = await wanted(project, space)
        return dict(list(found.items())[:1])

    reembedding._centroids._wanted = as_it_was  # type: ignore[method-assign]
    with pytest.raises(NotSwitched, match="by ann"):
        await reembedding.prepare("shop", serving, target)
    assert await _centroids(patterns, target.space) == centroids


async def test_a_merge_after_preparing_is_followed_at_the_switch(
    filled: Any, reembedding: Reembedding, patterns: Any, store: Any
) -> None:
    before = await filled()
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    await reembedding.prepare("shop", serving, target)
    await store.changes.merge("shop", before[0], [before[2]], by="ann", reason="", at=NOW)
    await reembedding.switch("shop", serving, target, by="ann", reason="")
    there = await _centroids(patterns, target.space)
    assert before[2] not in there
    assert there == await _centroids(patterns, serving.space)


async def test_another_text_policy_takes_the_texts_from_the_archive_as_far_as_it_goes(
    filled: Any,
    reembedding: Reembedding,
    patterns: Any,
    archive: Archive,
    embedder: Any,
    store: Any,
    mirror: Mirror,
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
) -> None:
    """A failure that was known by its fingerprint is so under the new text as well."""
    before = await filled()
    del archive.failures["t3"]
    serving = await _serving(patterns)
    work = Reembedding(
        patterns, store.embeddings, store.spaces, archive, embedder, clock=lambda: NOW
    )
    prepared, switched = await work.switch(
        "shop", serving, Target(serving.encoder, ONLY_TURNS), by="ann", reason=""
    )
    assert (prepared.texts, prepared.from_archive) == (6, 5)
    assert TEXTS[2] in embedder.asked
    assert switched.text == ONLY_TURNS
    asked = len(embedder.asked)
    failure = make_failure("t40", input=TEXTS[2], output="an answer that nobody gave before")
    assert _patterns(await make_deduper().handle([failure])) == [before[2]]
    assert len(embedder.asked) == asked, "it is known by its fingerprint"


async def test_a_split_of_an_older_failure_holds_for_those_after_another_text_policy(
    filled: Any,
    patterns: Any,
    store: Any,
    archive: Archive,
    embedder: Any,
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
) -> None:
    """Their fingerprint is another one; and back under the former policy it is as it was."""
    before = await filled()
    root = before[0]
    await store.changes.merge("shop", root, [before[2]], by="ann", reason="", at=NOW)
    first = await _serving(patterns)
    work = Reembedding(
        patterns, store.embeddings, store.spaces, archive, embedder, clock=lambda: NOW
    )
    target = Target(first.encoder, ONLY_TURNS)
    _, second = await work.switch("shop", first, target, by="ann", reason="")

    async def fails(name: str) -> str:
        failure = make_failure(name, input=TEXTS[2], output=f"the answer of {name}")
        (found,) = _patterns(await make_deduper().handle([failure]))
        return found

    assert await fails("t60") == root
    change = await store.changes.split("shop", root, ["event-t2"], by="ann", reason="", at=NOW)
    made = change.detail["to"]
    assert change.detail["count"] == 2
    assert await fails("t61") == made
    archive.failures.clear()  # what the former space had is not asked of the archive
    back = Target(first.encoder, first.text)
    prepared, _ = await work.switch("shop", second, back, by="ann", reason="back")
    assert prepared.embedded == 0
    assert (await _centroids(patterns, first.space))[made] == 1
    (again,) = _patterns(await make_deduper().handle([make_failure("t62", input=TEXTS[2])]))
    assert again == made


async def test_a_split_while_another_text_policy_is_prepared_is_followed(
    filled: Any,
    reembedding: Reembedding,
    patterns: Any,
    store: Any,
    archive: Archive,
    embedder: Any,
) -> None:
    before = await filled()
    root = before[0]
    await store.changes.merge("shop", root, [before[1]], by="ann", reason="", at=NOW)
    serving = await _serving(patterns)
    target = Target(serving.encoder, ONLY_TURNS)
    work = Reembedding(
        patterns, store.embeddings, store.spaces, archive, embedder, clock=lambda: NOW
    )
    laid = work._lay_centroids
    made: list[str] = []

    async def and_then_split(run: Any) -> None:
        await laid(run)
        if not made:
            change = await store.changes.split(
                "shop", root, ["event-t1"], by="ann", reason="", at=NOW
            )
            made.append(change.detail["to"])

    work._lay_centroids = and_then_split  # type: ignore[method-assign]
    await work.switch("shop", serving, target, by="ann", reason="")
    there = await _centroids(patterns, target.space)
    assert (there[root], there[made[0]]) == (1, 1)


async def test_the_preview_says_what_would_merge_and_what_would_leave(
    filled: Any, reembedding: Reembedding, patterns: Any, preview: SpacePreview
) -> None:
    before = await filled()
    serving = await _serving(patterns)
    target = Target(OTHER, serving.text)
    await reembedding.prepare("shop", serving, target)
    apart = await preview.look("shop", target.space, distance=0.0)
    together = await preview.look("shop", target.space, distance=2.0)
    assert apart is not None
    assert together is not None
    joined = {pattern for pattern in before if before.count(pattern) > 1}
    assert (apart.merging, apart.splitting) == (0, len(joined))
    assert {one.first for one in apart.splits} == joined
    assert (together.merging, together.leaving) == (len(set(before)) - 1, 0)
    nearest = together.merges[0]
    assert nearest.first_text
    assert nearest.second_text
    assert [one.distance for one in together.merges] == sorted(
        one.distance for one in together.merges
    )
    assert await preview.look("shop", "nothing/there", distance=0.3) is None
