"""Which text stands for a pattern: its first failure's, or by policy that of the middle."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from recording import SPACE, Recording, candidate, joins
from sqlalchemy import select
from wordings import Hashing, failures

from dedup.centroid import Centroid
from dedup.policy import DedupPolicy, Representative, TextPolicy
from services.deduper import Deduper
from services.encoders import Encoders
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.labelling import settle_grey
from services.pattern_store import Embedded, Kept, Rewritten, Serving
from services.policy import Policies, Policy
from services.representatives import Representatives, settle
from services.store.open import Store
from services.store.pattern_tables import pattern_medoid

At = Callable[[float], datetime]
EAST, NORTH_EAST, NORTH = (1, 0, 0, 0), (0.6, 0.8, 0, 0), (0, 1, 0, 0)


async def represented_by(
    store: Store, which: Representative, project: str = "shop", *, settled: bool = True
) -> None:
    """Change the policy, as `policy set` does."""
    version, policy = await store.policies.current(project)
    dedup = msgspec.structs.replace(policy.dedup, representative=which)
    changed = msgspec.structs.replace(policy, dedup=dedup)
    at = datetime.fromisoformat("2026-03-01T12:00:00Z")
    await store.policies.change(project, changed, by="ann", reason="", at=at, expected=version)
    if settled:
        await settle(store.medoids, project)


async def texts(store: Store, project: str = "shop") -> dict[str, str]:
    """The text that stands for each pattern."""
    rows = await store.reader.patterns(project=project, limit=1000)
    return {row.pattern_id: row.text for row in rows}


async def chosen(store: Store) -> dict[tuple[str, str], tuple[str, int]]:
    asked = select(pattern_medoid)
    rows = await store._database.read(lambda connection: connection.execute(asked).all())
    return {(row.project, row.pattern_id): (row.fingerprint, row.texts) for row in rows}


def serving(at: At, ordinal: int, space: str) -> Serving:
    return Serving(
        ordinal=ordinal,
        space=space,
        encoder="hashing-4/1",
        text=TextPolicy(),
        by="dedup",
        reason="",
        at=at(0),
    )


@pytest.fixture
async def shop(store: Store, at: At) -> Recording:
    """Pattern p-a: three texts of which `middle` came second. Pattern p-x: two."""
    async with store.patterns.locked("shop") as writer:
        await writer.serve(serving(at, 1, SPACE))
    shop = Recording(store, at)
    await shop.fail("a", "east", vector=EAST)
    await shop.fail("a2", "middle", into="p-a", vector=NORTH_EAST)
    await shop.fail("a3", "north", into="p-a", vector=NORTH)
    await shop.fail("x", "down", vector=(0, 0, 1, 0))
    await shop.fail("x2", "downer", into="p-x", vector=(0, 0, 0.8, 0.6))
    return shop


async def test_the_first_failure_stands_for_its_pattern_unless_the_policy_says_otherwise(
    shop: Recording,
) -> None:
    store = shop.store
    await settle(store.medoids, "shop")
    assert await texts(store) == {"p-a": "text east", "p-x": "text down"}
    await represented_by(store, "medoid")
    assert await texts(store) == {"p-a": "text middle", "p-x": "text down"}, "two have no middle"
    (row,) = await store.reader.pattern("p-a")
    assert row.text == "text middle"
    assert (await store.modes.told("shop", ["p-a"]))["p-a"].text == "text middle"
    assert await store.spaces.described("shop", ["p-a"]) == {"p-a": ("text middle", 3)}
    await represented_by(store, "first")
    assert await texts(store) == {"p-a": "text east", "p-x": "text down"}
    assert await chosen(store) == {}


async def test_cases_stay_those_of_the_failure_they_were_made_from(shop: Recording) -> None:
    before = await shop.store.reader.cases(project="shop", case_set=None, limit=9)
    await represented_by(shop.store, "medoid")
    assert await shop.store.reader.cases(project="shop", case_set=None, limit=9) == before
    assert (await shop.cases())["p-a"] == ("a", 3)


async def grown(shop: Recording, event: str, vector: Sequence[float], represent: int) -> None:
    """One more text of p-a, as the deduper keeps it."""
    one = candidate(shop.at, event)
    raw = np.array(vector, dtype=np.float32)
    async with shop.store.patterns.locked("shop") as writer:
        _, before = (await writer.centroids(SPACE, ["p-a"]))["p-a"]
        kept = Kept(
            space=SPACE,
            decided=[joins(one, "p-a", vector=vector)],
            centroids={"p-a": ("model|", Centroid(before.total + raw, before.count + 1))},
            embedded=[Embedded(event, one.text, raw)],
            represent={"p-a": represent},
        )
        await writer.keep(kept)


async def test_what_new_texts_change_is_settled_with_them(shop: Recording) -> None:
    await represented_by(shop.store, "medoid", settled=False)
    await grown(shop, "a4", (0.1, 1, 0, 0), 4)
    assert await texts(shop.store) == {"p-a": "text middle", "p-x": "text down"}
    await grown(shop, "a5", (0, 1, 0.1, 0), 5)
    await grown(shop, "a6", (0.3, 1, 0, 0), 6)
    assert (await texts(shop.store))["p-a"] == "text a6"
    assert await chosen(shop.store) == {("shop", "p-a"): ("a6", 6)}


async def test_only_the_first_texts_count_that_were_asked_for(shop: Recording) -> None:
    """However many came in the same step."""
    await represented_by(shop.store, "medoid", settled=False)
    for event in ("a4", "a5"):
        await grown(shop, event, NORTH, 3)
    assert await chosen(shop.store) == {("shop", "p-a"): ("middle", 3)}


async def test_a_step_under_an_older_policy_chooses_none(shop: Recording) -> None:
    await grown(shop, "a4", NORTH, 4)
    assert await chosen(shop.store) == {}


async def test_it_follows_merges_and_splits_and_their_undoing(shop: Recording) -> None:
    changes = shop.store.changes
    signed: dict[str, Any] = {"by": "ada", "reason": "", "at": shop.at(100)}
    await represented_by(shop.store, "medoid")
    before = await texts(shop.store)
    split = await changes.split("shop", "p-a", ["a2"], **signed)
    made = split.detail["to"]
    after = {"p-a": "text east", made: "text middle", "p-x": "text down"}
    assert await texts(shop.store) == after
    await changes.undo("shop", split.change_id, **signed)
    assert await texts(shop.store) == before
    merge = await changes.merge("shop", "p-x", ["p-a"], **signed)
    assert list(await texts(shop.store)) == ["p-x"]
    assert await chosen(shop.store) == {("shop", "p-x"): ("middle", 5)}
    await changes.undo("shop", merge.change_id, **signed)
    assert await texts(shop.store) == before
    assert await chosen(shop.store) == {("shop", "p-a"): ("middle", 3)}


async def test_a_merge_says_something_about_the_texts_that_whoever_merged_saw(
    shop: Recording,
) -> None:
    await represented_by(shop.store, "medoid")
    signed: dict[str, Any] = {"by": "ada", "reason": "", "at": shop.at(100)}
    await shop.store.changes.merge("shop", "p-x", ["p-a"], **signed)
    (label,) = await shop.store.labels.every("shop")
    assert (label.first, label.second, label.verdict) == ("down", "middle", "same")


async def test_a_doubtful_failure_is_compared_with_the_middle_but_never_with_itself(
    shop: Recording,
) -> None:
    for event in ("north", "middle"):
        one = candidate(shop.at, f"{event} again", fingerprint=event)
        async with shop.store.patterns.locked("shop") as writer:
            decided = joins(one, "p-a", vector=NORTH, grey=True)
            await writer.keep(Kept(space=SPACE, decided=[decided]))
    await represented_by(shop.store, "medoid")
    rows = await shop.store.grey.undecided("shop", limit=9)
    assert {(row.fingerprint, row.pattern_fingerprint, row.pattern_text) for row in rows} == {
        ("north", "middle", "text middle"),
        ("middle", "east", "text east"),
    }


async def test_nor_with_itself_as_it_is_written_now(shop: Recording, at: At) -> None:
    """What a reviewer finds different would else be noted, and left where it is."""
    store = shop.store
    one = candidate(at, "middle again", fingerprint="middle")
    async with store.patterns.locked("shop") as writer:
        doubtful = joins(one, "p-a", vector=NORTH_EAST, grey=True)
        await writer.keep(Kept(space=SPACE, decided=[doubtful]))
    now = {"east": "ost", "middle": "mitte", "north": "nord"}
    first = {new: old for old, new in now.items()}
    await store.spaces.learn("shop", Rewritten(before="1", text="2", now=now, first=first))
    vectors = {"ost": EAST, "mitte": NORTH_EAST, "nord": NORTH}
    total = np.sum(list(vectors.values()), axis=0).astype(np.float32)
    rows = [
        Embedded(name, f"text {name}", np.array(raw, dtype=np.float32), "unknown|")
        for name, raw in vectors.items()
    ]
    async with store.patterns.locked("shop") as writer:
        centroids = {"p-a": ("unknown|", Centroid(total, 3))}
        await writer.keep(
            Kept(space="hashing-4/1/text-2", decided=(), centroids=centroids, embedded=rows)
        )
        await writer.serve(serving(at, 2, "hashing-4/1/text-2"))
    await represented_by(store, "medoid")
    assert (await texts(store))["p-a"] == "text mitte"
    (row,) = await store.grey.undecided("shop", limit=9)
    assert (row.fingerprint, row.pattern_fingerprint) == ("mitte", "ost")
    assert row.pattern_text == "text east", "its first failure's"
    change = await settle_grey(
        row,
        "different",
        decisions=store.grey,
        changes=store.changes,
        by="ann",
        reason="",
        at=at(60),
    )
    assert change is not None
    assert change.detail["fingerprints"] == ["middle", "mitte"]


async def test_a_space_that_comes_to_serve_has_its_own_middle(shop: Recording, at: At) -> None:
    """Texts lie elsewhere in it. The service sees the switch, and a changed policy, by itself."""
    store = shop.store
    watching = Representatives(store.medoids, store.policies, store.patterns, OnlyShop())
    assert await watching.round() == ["shop"]
    await represented_by(store, "medoid", settled=False)
    assert await watching.round() == ["shop"]
    assert await chosen(store) == {("shop", "p-a"): ("middle", 3)}
    assert await watching.round() == []
    other = "another/text-1"
    vectors = {"east": NORTH_EAST, "middle": EAST, "north": NORTH}
    total = np.sum(list(vectors.values()), axis=0).astype(np.float32)
    rows = [
        Embedded(name, f"text {name}", np.array(raw, dtype=np.float32), "model|")
        for name, raw in vectors.items()
    ]
    async with store.patterns.locked("shop") as writer:
        centroids = {"p-a": ("model|", Centroid(total, 3))}
        await writer.keep(Kept(space=other, decided=(), centroids=centroids, embedded=rows))
        await writer.serve(serving(at, 2, other))
    assert await watching.round() == ["shop"]
    assert (await texts(store))["p-a"] == "text east"


async def test_texts_that_have_become_one_in_another_space_have_no_middle_of_the_former(
    shop: Recording, at: At
) -> None:
    store = shop.store
    await represented_by(store, "medoid")
    assert (await texts(store))["p-a"] == "text middle"
    two = np.array(EAST, dtype=np.float32) + np.array(NORTH, dtype=np.float32)
    async with store.patterns.locked("shop") as writer:
        kept = Kept(
            space="short/text-2", decided=(), centroids={"p-a": ("model|", Centroid(two, 2))}
        )
        await writer.keep(kept)
        await writer.serve(serving(at, 2, "short/text-2"))
    await settle(store.medoids, "shop")
    assert await chosen(store) == {}
    assert (await texts(store))["p-a"] == "text east", "its first failure's"


class OnlyShop:
    async def projects(self) -> Sequence[str]:
        return ["shop"]


async def test_many_patterns_are_settled_in_steps(
    shop: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    await represented_by(shop.store, "medoid", settled=False)
    await shop.fail("x3", "downest", into="p-x", vector=(0, 0, 0.9, 0.3))
    monkeypatch.setattr("services.store.medoids._A_STEP", 1)
    assert await shop.store.medoids.settle("shop", "") == "p-a"
    assert await shop.store.medoids.settle("shop", "p-a") == "p-x"
    assert await shop.store.medoids.settle("shop", "p-x") is None
    assert {name for _, name in await chosen(shop.store)} == {"p-a", "p-x"}


async def test_a_large_pattern_is_represented_by_a_sample_that_is_always_the_same(
    shop: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.medoids.SAMPLE", 2)
    await represented_by(shop.store, "medoid")
    assert await chosen(shop.store) == {("shop", "p-a"): ("east", 3)}, "of east and middle"


async def test_a_project_nothing_serves_yet_has_nothing_to_settle(store: Store) -> None:
    await represented_by(store, "medoid")
    assert await store.medoids.settle("shop", "") is None


@pytest.mark.parametrize("project", ["one", "all"])
async def test_the_same_failures_give_the_same_middle_however_they_are_batched(
    store: Store, tmp_path: Path, at: At, project: str
) -> None:
    """A replay decides as it was decided: what came in one batch comes in others when it is sent again."""

    def none(encoder: str) -> Any:
        raise ValueError(encoder)

    shown, moment = {}, at(0)
    for name, size in ((project, 80), ("again", 1 if project == "one" else 7)):
        policy = Policy(dedup=DedupPolicy(distance=0.55, representative="medoid"))
        await store.policies.change(name, policy, by="ann", reason="", at=moment, expected=0)
        deduper = Deduper(
            store.patterns,
            Encoders(Hashing(), none),
            Indexes(IndexFiles(tmp_path / name)),
            Policies(store.policies),
            clock=lambda: moment,
        )
        made = failures(80, name)
        for start in range(0, len(made), size):
            await deduper.handle(made[start : start + size])
        found = await chosen(store)
        shown[name] = sorted(row for (of, _), row in found.items() if of == name)
    assert shown[project] == shown["again"]
    assert len(shown["again"]) > 5
    firsts = {name: await texts(store, name) for name in shown}
    assert sorted(firsts[project].values()) == sorted(firsts["again"].values())
