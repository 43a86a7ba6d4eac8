import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from capture.events import Failure
from dedup.encoders.hashing import HashingEncoder
from dedup.events import Assigned
from dedup.policy import DedupPolicy, TextPart, TextPolicy
from services.deciding import Deciding
from services.dedup_metrics import DedupMetrics
from services.deduper import Deduper
from services.encoders import Encoders
from services.errors import Halted, Unavailable
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.pattern_store import GeometryMove, Serving
from services.policy import Policies, Policy
from services.spaces import space_of
from services.stream.outcome import DeadLetter, Emit, Hold, Outcome, Retry

Make = Callable[..., Failure]
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPACE = space_of(HashingEncoder.identity, TextPolicy())
ONLY_TURNS = TextPolicy(parts=(TextPart(part="turns", chars=300),))

PARTS = [TextPart(part="turns", chars=chars) for chars in (100, 200, 300)]


@pytest.fixture
def dedup_metrics() -> DedupMetrics:
    return DedupMetrics()


@pytest.fixture
def make_deduper(
    patterns: Any, encoders: Encoders, policies: Policies, tmp_path: Path
) -> Callable[..., Deduper]:
    """A deduper as another process would have one: nothing is shared but the store."""

    def make(**other: Any) -> Deduper:
        parts: dict[str, Any] = {"encoders": encoders, "store": patterns, "policies": policies}
        indexes = other.pop("indexes", None) or Indexes(IndexFiles(tmp_path / "indexes"))
        return Deduper(**(parts | {"indexes": indexes, "clock": lambda: NOW} | other))

    return make


@pytest.fixture
def deduper(make_deduper: Callable[..., Deduper], dedup_metrics: DedupMetrics) -> Deduper:
    return make_deduper(metrics=dedup_metrics)


@pytest.fixture(autouse=True)
def near_is_0_58(policy_store: Any) -> None:
    """The tests' texts are apart as the hashing encoder sees them, whatever the default distance is."""
    policy_store.policies["shop"] = Policy(dedup=DedupPolicy(distance=0.58, grey_band=0.05))


def _assigned(outcomes: Sequence[Outcome]) -> list[Assigned]:
    events = [outcome.event for outcome in outcomes if isinstance(outcome, Emit)]
    assert len(events) == len(outcomes), outcomes
    return [event for event in events if isinstance(event, Assigned)]


def _how(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    return [(one.assignment.pattern_id, one.assignment.decided_by) for one in _assigned(outcomes)]


async def _patterns(patterns: Any, project: str = "shop", space: str = SPACE) -> set[str]:
    async with patterns.reading(project) as store:
        return {row.pattern_id for row in await store.centroids_after(space, 0, limit=1000)}


async def _serving(patterns: Any, project: str = "shop") -> Serving | None:
    async with patterns.reading(project) as store:
        serving: Serving | None = await store.serving()
        return serving


def _counted(metrics: DedupMetrics) -> dict[str, int]:
    """Failures by the step that decided."""
    return {
        sample.labels["step"]: int(sample.value)
        for metric in metrics.collect()
        for sample in metric.samples
        if sample.name == "evalratchet_dedup_failures_total"
    }


async def test_failures_that_read_the_same_are_one_pattern_and_embedded_once(
    deduper: Deduper, make_failure: Make, embedder: Any, dedup_metrics: DedupMetrics
) -> None:
    batch = [make_failure(f"t{n}", input=f"where is order {n}?") for n in range(5)]
    (first, *others) = _how(await deduper.handle(batch))
    assert first[1] == "first"
    assert others == [(first[0], "fingerprint")] * 4
    assert len(embedder.asked) == 1
    assert _counted(dedup_metrics) == {"embedding": 1, "fingerprint": 4}


async def test_ten_thousand_failures_with_one_text_cost_one_embedding(
    deduper: Deduper, make_failure: Make, embedder: Any
) -> None:
    for start in range(0, 10_000, 500):
        batch = [
            make_failure(f"t{start + n}", input=f"where is order {start + n}?") for n in range(500)
        ]
        assert len(_assigned(await deduper.handle(batch))) == 500
    assert len(embedder.asked) == 1


async def test_the_same_new_text_in_two_projects_is_embedded_once(
    deduper: Deduper, make_failure: Make, embedder: Any
) -> None:
    batch = [make_failure(f"t-{name}", project=name, input="no parcel") for name in ("a", "b", "c")]
    assert len({pattern for pattern, _ in _how(await deduper.handle(batch))}) == 3
    assert len(embedder.asked) == 1
    assert embedder.calls == 1


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
    assert 0 < near.assignment.distance <= 0.58
    assert far.assignment.decided_by == "first"
    assert far.assignment.nearest_distance is not None


async def test_what_is_near_but_another_fault_does_not_join(
    deduper: Deduper, make_failure: Make
) -> None:
    """An outage and a wrong answer are two failures, however alike they read."""
    batch = [
        make_failure("t1", input="where is my parcel please"),
        make_failure("t2", input="where is my parcel please", fault="infrastructure"),
    ]
    (one, how), (two, as_well) = _how(await deduper.handle(batch))
    assert one != two
    assert (how, as_well) == ("first", "first")


async def test_a_join_within_the_grey_band_is_marked_and_remembered(
    deduper: Deduper, make_failure: Make, policy_store: Any, dedup_metrics: DedupMetrics
) -> None:
    policy_store.policies["shop"] = Policy(dedup=DedupPolicy(distance=0.58, grey_band=0.58))
    batch = [
        make_failure("t1", input="where is my parcel please"),
        make_failure("t2", input="where is my parcel, please tell"),
    ]
    first, joined = _assigned(await deduper.handle(batch))
    assert (first.assignment.grey, joined.assignment.grey) == (False, True)
    again = _assigned(await deduper.handle(batch))
    assert [one.assignment for one in again] == [first.assignment, joined.assignment]
    (grey,) = [m for m in dedup_metrics.collect() if m.name == "evalratchet_dedup_grey"]
    assert [sample.value for sample in grey.samples if sample.name.endswith("_total")] == [1]


async def test_a_redelivered_failure_gets_the_decision_it_had_without_any_work(
    deduper: Deduper,
    make_failure: Make,
    embedder: Any,
    patterns: Any,
    dedup_metrics: DedupMetrics,
) -> None:
    """A failure must never be taken for a near-duplicate of itself."""
    batch = [make_failure("t1", input="where is my parcel"), make_failure("t2", input="hello")]
    before = await deduper.handle(batch)
    work = (list(embedder.asked), list(patterns.locks))
    assert await deduper.handle(batch) == before
    assert (embedder.asked, patterns.locks) == work
    assert _counted(dedup_metrics) == {"embedding": 2, "earlier": 2}


async def test_what_is_learnt_of_whose_failure_it_is_is_noted_when_it_comes_again(
    deduper: Deduper, make_failure: Make, patterns: Any
) -> None:
    await deduper.handle([make_failure("t1", input="where is my parcel", fault="unknown")])
    await deduper.handle([make_failure("t1", input="where is my parcel", fault="input")])
    assert patterns.faults == {("shop", "event-t1"): "input"}


async def test_what_the_second_of_a_batch_knows_of_a_failure_is_noted_too(
    deduper: Deduper, make_failure: Make, patterns: Any
) -> None:
    batch = [make_failure("t1", input="no parcel", fault=fault) for fault in ("unknown", "input")]
    await deduper.handle(batch)
    assert patterns.faults == {("shop", "event-t1"): "input"}


async def test_a_failure_that_comes_again_with_another_text_holds_nobody_up(
    deduper: Deduper, make_failure: Make
) -> None:
    """Its second text does not come into the space: the centre, which moves at ten, waits."""
    words = ["parcel", "invoice", "voucher", "order", "colour", "size", "refund", "delivery"]
    await deduper.handle([make_failure(word, input=f"no {word}") for word in words])
    texts = ("wrong address", "the wrong address, I say", "cancel it", "measured in inches")
    batch = [make_failure("t0" if n == 1 else f"t{n}", input=text) for n, text in enumerate(texts)]
    found = _how(await deduper.handle(batch))
    assert len(found) == 4
    assert found[0] == found[1]


async def test_a_failure_twice_in_one_batch_is_decided_once_and_answered_twice(
    deduper: Deduper, make_failure: Make, store: Any
) -> None:
    """The second must not turn the representative into a duplicate: no case would be made."""
    one = make_failure("t1", input="where is my parcel")
    first, again = _how(await deduper.handle([one, one]))
    assert first == again
    assert first[1] == "first"
    (row,) = await store.reader.pattern(first[0])
    assert row.occurrences == 1


async def test_projects_of_one_batch_are_decided_apart_and_answered_in_order(
    deduper: Deduper, make_failure: Make
) -> None:
    batch = [
        make_failure(f"t{n}", project=project, input="where is my parcel")
        for n, project in enumerate(["shop", "bank", "shop", "bank"])
    ]
    assigned = _assigned(await deduper.handle(batch))
    assert [one.failure for one in assigned] == batch
    found = [one.assignment.pattern_id for one in assigned]
    assert found[0] == found[2] != found[1] == found[3]


async def test_one_event_id_in_two_projects_is_two_failures(
    deduper: Deduper, make_failure: Make
) -> None:
    """Ids are derived from what a client sends; nobody may answer for another's failure."""
    batch = [make_failure("t1", project=name, input="no parcel") for name in ("a", "b")]
    assert batch[0].event_id == batch[1].event_id
    assigned = _assigned(await deduper.handle(batch))
    assert [one.project for one in assigned] == ["a", "b"]


async def test_a_text_without_a_vector_is_a_dead_letter_and_takes_nobody_along(
    deduper: Deduper, make_failure: Make, patterns: Any
) -> None:
    good, bad, also_good = await deduper.handle(
        [
            make_failure("t1", input="where is my parcel"),
            make_failure("t2", input="unembeddable nonsense"),
            make_failure("t3", input="cancel the subscription now"),
        ]
    )
    assert bad == DeadLetter("handler_error", "no vector for this one")
    assert {pattern for pattern, _ in _how([good, also_good])} == await _patterns(patterns)


async def test_after_an_error_under_the_lock_nothing_remains_of_what_was_rolled_back(
    deduper: Deduper, make_failure: Make, patterns: Any
) -> None:
    """An index that kept the lost pattern would send failures to a pattern nobody has."""
    await deduper.handle([make_failure("t0", input="where is my parcel")])
    patterns.fail_after_keep = Unavailable("the database went away")
    with pytest.raises(Unavailable):
        await deduper.handle([make_failure("t1", input="cancel the subscription now")])
    (pattern_id, decided_by), *_ = _how(
        await deduper.handle([make_failure("t2", input="cancel the subscription, now")])
    )
    assert decided_by == "first"
    kept = await _patterns(patterns)
    assert pattern_id in kept
    assert len(kept) == 2


async def test_two_workers_on_the_same_failures_make_no_twins(
    make_deduper: Callable[..., Deduper], make_failure: Make, patterns: Any
) -> None:
    """The second catches up under the lock with what the first decided after it had looked."""
    one, two = make_deduper(), make_deduper()
    await one.handle([make_failure("t0", input="hello there")])
    await two.handle([make_failure("t1", input="hello, there")])
    batch = [make_failure("t2", input="where is my parcel please")]
    near = [make_failure("t3", input="where is my parcel, please tell")]
    decided_by_one: list[Outcome] = []

    async def overtake() -> None:
        decided_by_one.extend(await one.handle(batch))

    patterns.before_lock = overtake
    first, joined = _how(await two.handle([*batch, *near]))
    assert [first] == _how(decided_by_one)
    assert joined == (first[0], "embedding")
    assert len(await _patterns(patterns)) == 2


async def test_two_workers_at_once_on_everything_decide_everything_once(
    make_deduper: Callable[..., Deduper], make_failure: Make, store: Any
) -> None:
    """Two that believe they own the same partition: the same answers, and every failure counted once."""
    failures = [
        make_failure(f"t{n}", project=f"p{n % 3}", input=f"{'abcdefg'[n % 7] * 9} is number {n}")
        for n in range(60)
    ]

    async def work(deduper: Deduper, size: int) -> list[tuple[str, str]]:
        found = []
        for start in range(0, len(failures), size):
            found += _how(await deduper.handle(failures[start : start + size]))
        return found

    one, two = await asyncio.gather(work(make_deduper(), 7), work(make_deduper(), 10))
    assert one == two
    rows = {row.pattern_id: row for row in await store.reader.patterns(project=None, limit=1000)}
    assert set(rows) == {pattern for pattern, _ in one}
    assert sum(row.occurrences for row in rows.values()) == len(failures)


async def test_a_new_process_finds_the_patterns_of_the_one_before(
    make_deduper: Callable[..., Deduper], make_failure: Make
) -> None:
    before = make_deduper()
    ((pattern_id, _),) = _how(await before.handle([make_failure("t1", input="my parcel is late")]))
    outcomes = await make_deduper().handle([make_failure("t2", input="my parcel is too late")])
    assert _how(outcomes) == [(pattern_id, "embedding")]


async def test_an_index_file_that_was_corrupted_is_built_anew(
    make_deduper: Callable[..., Deduper], make_failure: Make, tmp_path: Path
) -> None:
    indexes = Indexes(IndexFiles(tmp_path / "saved"))
    before = make_deduper(indexes=indexes)
    ((pattern_id, _),) = _how(await before.handle([make_failure("t1", input="my parcel is late")]))
    await before.handle([make_failure("t2", input="cancel the subscription now")])
    await indexes.close()
    files = [file for file in (tmp_path / "saved").rglob("*") if file.is_file()]
    assert files, "nothing was saved"
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    after = make_deduper(indexes=Indexes(IndexFiles(tmp_path / "saved")))
    with capture_logs() as said:
        outcomes = await after.handle([make_failure("t3", input="my parcel is too late")])
    assert _how(outcomes) == [(pattern_id, "embedding")]
    assert [line for line in said if line["event"] == "index_not_used"]


async def test_the_projects_own_dedup_distance_decides(
    deduper: Deduper, make_failure: Make, policy_store: Any
) -> None:
    policy_store.policies["strict"] = Policy(dedup=DedupPolicy(distance=0))
    texts = ("where is my parcel please", "where is my parcel, please tell")
    for project, number in (("shop", 1), ("strict", 2)):
        batch = [
            make_failure(f"{project}-{n}", project=project, input=text)
            for n, text in enumerate(texts)
        ]
        assert len({pattern for pattern, _ in _how(await deduper.handle(batch))}) == number


async def test_the_centre_moves_and_decisions_go_on_as_a_new_process_would_take_them(
    make_deduper: Callable[..., Deduper], make_failure: Make, patterns: Any
) -> None:
    """The index of the former geometry is of no use: it is filled again."""
    deduper = make_deduper()
    words = ("parcel", "invoice", "voucher", "password", "table", "return", "size", "colour")
    for start in range(0, 640, 40):
        batch = [
            make_failure(f"t{n}", input=f"{words[n % 8]} {words[n % 7]} {_name(n)} is broken")
            for n in range(start, start + 40)
        ]
        _assigned(await deduper.handle(batch))
    async with patterns.reading("shop") as store:
        geometry = await store.geometry(SPACE)
    assert geometry is not None
    assert geometry.number >= 1
    asked = make_failure("t-new", input="parcel invoice of somebody is broken")
    async with patterns.reading("shop"):
        (here,) = _assigned(await deduper.handle([asked]))
    (there,) = _assigned(await make_deduper().handle([asked]))
    assert here == there


async def test_a_metric_that_was_put_in_force_does_not_fill_the_index_under_the_lock(
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
    patterns: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.deciding._MANY", 1)
    deduper = make_deduper()
    texts = ["no parcel", "the invoice is wrong", "voucher refused at checkout"]
    batch = [make_failure(f"t{n}", input=text) for n, text in enumerate(texts)]
    first = _how(await deduper.handle(batch))
    async with patterns.locked("shop") as store:
        now = await store.geometry(SPACE)
        await store.move(
            GeometryMove(
                space=SPACE,
                geometry=msgspec.structs.replace(now, number=now.number + 1),
                kind="metric",
                texts=3,
                by="ann",
                reason="",
                at=NOW,
            )
        )
    filled: list[str] = []
    fill = Deciding._fill

    async def noted(deciding: Deciding, part: Any) -> None:
        filled.append(part.project)
        await fill(deciding, part)

    monkeypatch.setattr(Deciding, "_fill", noted)
    again = await deduper.handle([make_failure("t9", input="voucher refused at the checkout")])
    assert [pattern for pattern, _ in _how(again)] == [first[2][0]]
    assert filled == ["shop"]


async def test_a_metric_and_the_distance_that_goes_with_it_take_effect_in_one_step(
    make_deduper: Callable[..., Deduper], make_failure: Make, patterns: Any, policy_store: Any
) -> None:
    """The policy is read again every two seconds only; the metric is seen under the lock."""
    deduper = make_deduper()
    first = _how(await deduper.handle([make_failure("t1", input="where is my parcel please")]))
    asked = len(policy_store.asked)
    near = make_failure("t2", input="where is my parcel, please tell")
    assert _how(await deduper.handle([near]))[0][0] == first[0][0]
    assert len(policy_store.asked) == asked, "it is remembered"
    async with patterns.locked("shop") as store:
        now = await store.geometry(SPACE)
        geometry = msgspec.structs.replace(
            now, number=now.number + 1, metric=np.eye(len(now.centre), dtype=np.float32)
        )
        await store.move(
            GeometryMove(
                space=SPACE,
                geometry=geometry,
                kind="metric",
                texts=2,
                by="ann",
                reason="",
                at=NOW,
            )
        )
    policy_store.policies["shop"] = Policy(dedup=DedupPolicy(distance=0))
    later = make_failure("t3", input="where is my parcel, please tell me")
    assert _how(await deduper.handle([later]))[0][0] != first[0][0]
    assert len(policy_store.asked) == asked + 1


def _name(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in str(number)) * 2


# --- spaces -----------------------------------------------------------------------------------


async def test_the_first_failure_of_a_project_makes_the_space_that_serves_it(
    deduper: Deduper, make_failure: Make, patterns: Any
) -> None:
    assert await _serving(patterns) is None
    await deduper.handle([make_failure("t1", input="my parcel is late")])
    serving = await _serving(patterns)
    assert serving is not None
    assert (serving.ordinal, serving.space, serving.at) == (1, SPACE, NOW)
    await deduper.handle([make_failure("t2", input="another thing")])
    assert await _serving(patterns) == serving


async def test_another_text_policy_changes_nothing_and_says_once_what_to_run(
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
    patterns: Any,
    policy_store: Any,
    embedder: Any,
) -> None:
    deduper = make_deduper()
    ((pattern_id, _),) = _how(
        await deduper.handle([make_failure("t1", input="my parcel is late", output="sorry")])
    )
    policy_store.policies["shop"] = Policy(dedup=DedupPolicy(distance=0.58, text=ONLY_TURNS))
    after = make_deduper(policies=Policies(policy_store))
    with capture_logs() as said:
        batch = [make_failure("t2", input="my parcel is late, too", output="sorry")]
        assert _how(await after.handle(batch)) == [(pattern_id, "embedding")]
        await after.handle([make_failure("t3", input="something else")])
    (line,) = [line for line in said if line["event"] == "another_space_is_configured"]
    assert line["run"] == "evalratchet dedup reembed --project shop"
    assert all("sorry" in text for text in embedder.asked[:2])
    serving = await _serving(patterns)
    assert serving is not None
    assert serving.space == SPACE


async def test_a_project_goes_on_with_the_encoder_that_serves_it_whatever_is_configured(
    make_deduper: Callable[..., Deduper], make_failure: Make, embedder: Any, other_embedders: Any
) -> None:
    ((pattern_id, _),) = _how(
        await make_deduper().handle([make_failure("t1", input="my parcel is late")])
    )
    former = type(embedder)(embedder.encoder)
    other_embedders[embedder.encoder] = former
    configured = type(embedder)("another@1/onnx-int8@abc")
    after = make_deduper(encoders=Encoders(configured, lambda one: other_embedders[one]))
    shop, new = _how(
        await after.handle(
            [
                make_failure("t2", input="my parcel is too late"),
                make_failure("t3", project="new", input="my parcel is too late"),
            ]
        )
    )
    assert shop == (pattern_id, "embedding")
    assert new[1] == "first"
    assert len(former.asked) == len(configured.asked) == 1


async def test_an_encoder_that_is_not_there_holds_only_the_failures_that_need_it(
    make_deduper: Callable[..., Deduper], make_failure: Make, embedder: Any, other_embedders: Any
) -> None:
    before = make_deduper()
    ((pattern_id, _),) = _how(await before.handle([make_failure("t1", input="my parcel is late")]))
    gone = type(embedder)(embedder.encoder)
    gone.missing = "there is no compiled model in models."
    other_embedders[embedder.encoder] = gone
    configured = type(embedder)("another@1/onnx-int8@abc")
    after = make_deduper(encoders=Encoders(configured, lambda one: other_embedders[one]))
    held, known, other = await after.handle(
        [
            make_failure("t2", input="my parcel is too late"),
            make_failure("t3", input="My parcel is late!"),
            make_failure("t4", project="new", input="my parcel is too late"),
        ]
    )
    assert isinstance(held, Hold)
    assert held.project == "shop"
    assert "there is no compiled model in models." in held.detail
    assert "evalratchet dedup reembed --project shop --switch" in held.detail
    assert _how([known]) == [(pattern_id, "fingerprint")]
    assert _how([other])[0][1] == "first"
    (alone,) = await after.handle([make_failure("t2", input="my parcel is too late")])
    assert isinstance(alone, Hold)
    gone.missing = None
    outcomes = await after.handle([make_failure("t2", input="my parcel is too late")])
    assert _how(outcomes) == [(pattern_id, "embedding")]


async def test_a_switch_while_a_batch_is_prepared_has_it_prepared_again(
    make_deduper: Callable[..., Deduper], make_failure: Make, patterns: Any, embedder: Any
) -> None:
    """Texts and vectors of the former space must not get into the new one."""
    deduper = make_deduper()
    await deduper.handle([make_failure("t1", input="my parcel is late", output="sorry")])
    other = space_of(embedder.encoder, ONLY_TURNS)

    async def switch() -> None:
        async with patterns.locked("shop") as store:
            serving = await store.serving()
            switched = msgspec.structs.replace(
                serving, ordinal=2, space=other, text=ONLY_TURNS, reason="a test"
            )
            await store.serve(switched)

    patterns.before_lock = switch
    (assigned,) = _assigned(
        await deduper.handle([make_failure("t2", input="cancel the subscription", output="no")])
    )
    assert assigned.assignment.embedding_space == other
    assert embedder.asked[-1] == "cancel the subscription"
    async with patterns.reading("shop") as store:
        assert len(await store.embedded(SPACE, [assigned.assignment.fingerprint])) == 0


# --- the model is not there, and strange texts -------------------------------------------------


async def test_it_is_ready_when_the_configured_model_is(deduper: Deduper, embedder: Any) -> None:
    await deduper.ready()
    assert embedder.waits == 1
    embedder.missing = "weights are gone: reinstall"
    with pytest.raises(Halted, match="reinstall"):
        await deduper.ready()


async def test_a_worker_that_cannot_be_had_just_now_is_waited_for(
    deduper: Deduper, make_failure: Make, embedder: Any
) -> None:
    embedder.away = "the embedding worker was stopped"
    with pytest.raises(Unavailable, match="was stopped"):
        await deduper.handle([make_failure("t1", input="my parcel is late")])
    embedder.away = None
    ((pattern_id, _),) = _how(await deduper.handle([make_failure("t1", input="my parcel is late")]))
    embedder.away = "the embedding worker was stopped"
    later, known = await deduper.handle(
        [
            make_failure("t2", input="my parcel is too late"),
            make_failure("t3", input="My parcel is late!"),
        ]
    )
    assert later == Retry(
        "the embedding worker was stopped", 5.0
    )  # it is everybody's: none is held
    assert _how([known]) == [(pattern_id, "fingerprint")]


async def test_a_failure_without_any_text_has_a_pattern_too(
    deduper: Deduper, make_failure: Make
) -> None:
    outcomes = _how(await deduper.handle([make_failure("t1"), make_failure("t2")]))
    assert [how for _, how in outcomes] == ["first", "fingerprint"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "\x00\x01\x1b[31mred\x7f",
        "a" * 1_000_000,
        "\u202eright to left\u202c שלום עולם مرحبا بالعالم",
        "👩‍👩‍👧‍👦🏳️‍🌈" * 500,
        "\ud800 half a surrogate",
        "0" * 100_000,
        "找不到我的包裹 小包が届かない посылка не пришла",
    ],
    ids=[
        "empty",
        "blank",
        "control",
        "megabyte",
        "bidi",
        "emoji",
        "surrogate",
        "digits",
        "scripts",
    ],
)
async def test_every_text_gets_a_pattern_and_the_same_one_again(
    deduper: Deduper, make_failure: Make, text: str
) -> None:
    outcomes = await deduper.handle([make_failure("t1", input=text, output=text)])
    ((pattern_id, how),) = _how(outcomes)
    assert how == "first"
    again = await deduper.handle([make_failure("t2", input=text, output=text)])
    assert _how(again) == [(pattern_id, "fingerprint")]


# --- index files -------------------------------------------------------------------------------


async def test_nobody_waits_for_a_disk_with_the_stores_lock(
    make_deduper: Callable[..., Deduper],
    make_failure: Make,
    patterns: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While an index is written, a decision of its project waits, and the store is free."""
    monkeypatch.setattr("services.indexes._SAVE_AFTER", 1)
    go_on, saving, save = threading.Event(), threading.Event(), IndexFiles.save

    def slow(*arguments: Any) -> None:
        saving.set()
        go_on.wait(30)
        save(*arguments)

    monkeypatch.setattr(IndexFiles, "save", slow)
    deduper = make_deduper()
    await deduper.handle([make_failure("t1", input="my parcel is late")])
    # it takes over what was decided before, which is then written
    deciding = asyncio.create_task(deduper.handle([make_failure("t2", input="refund me")]))
    assert await asyncio.to_thread(saving.wait, 30)
    async with asyncio.timeout(60), patterns.locked("shop"):
        assert not deciding.done()
    go_on.set()
    assert _how(await asyncio.wait_for(deciding, 60))[0][1] == "first"


async def test_index_files_of_spaces_that_one_cannot_go_back_to_are_deleted(
    make_deduper: Callable[..., Deduper], make_failure: Make, patterns: Any, tmp_path: Path
) -> None:
    files = IndexFiles(tmp_path / "indexes")
    spaces = [space_of(HashingEncoder.identity, TextPolicy(parts=(part,))) for part in PARTS]
    for number, (space, part) in enumerate(zip(spaces, PARTS, strict=True), 1):
        async with patterns.locked("shop") as store:
            await store.serve(
                Serving(
                    ordinal=number,
                    space=space,
                    encoder=HashingEncoder.identity,
                    text=TextPolicy(parts=(part,)),
                    by="ann",
                    reason="a test",
                    at=NOW,
                )
            )
        indexes = Indexes(files)
        deduper = make_deduper(indexes=indexes)
        for one in range(3):
            text = f"{'so ' * one}{('late', 'broken', 'lost')[number - 1]}"
            await deduper.handle([make_failure(f"t{number}-{one}", input=text)])
        await indexes.close()
    assert [files.path("shop", space).exists() for space in spaces] == [False, True, True]
