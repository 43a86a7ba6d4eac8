"""A pattern of more merged patterns, and a split of more texts, than one statement takes names."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from recording import Recording
from sqlalchemy import Connection, insert

from services.pattern_changes import EVENTS_TOLD
from services.store.open import Store
from services.store.pattern_tables import occurrence, pattern, pattern_fingerprint

At = Callable[[float], datetime]
MERGED = 33_500  # a statement takes 32,767 values on both databases
SAID: dict[str, Any] = {"by": "ada", "reason": "because"}


def many(connection: Connection, at: At, root: str) -> None:
    rows = [
        {
            "project": "shop",
            "pattern_id": f"m{n:05d}",
            "space": "s/text-1",
            "text": "",
            "event_id": f"m{n:05d}",
            "trace_id": "t",
            "occurrences": 1,
            "first_failed_at": at(0),
            "last_failed_at": at(0),
            "guard": "model|",
            "root": root,
        }
        for n in range(MERGED)
    ]
    connection.execute(insert(pattern), rows)


@pytest.fixture
async def shop(store: Store, at: At) -> Recording:
    """Pattern p-e1 of so many merged ones, two of which have a failure of their own."""
    project = Recording(store, at)
    root = await project.fail("e1", "one")
    await project.fail("e2", "two", into=root, vector=(0, 1, 0, 0))
    await store._database.write(lambda connection: many(connection, at, root))
    for name in ("m00007", "m33000"):
        await project.fail(name, f"text of {name}", into=name, vector=(0, 0, 1, 0))
    return project


async def test_failures_of_a_pattern_made_of_very_many_are_promoted_split_and_put_back(
    shop: Recording, store: Store, at: At
) -> None:
    assert set((await shop.members()).values()) == {"p-e1"}
    assert (await shop.cases()) == {"p-e1": ("e1", 4)}
    change = await store.changes.split("shop", "p-e1", ["m33000", "e2"], at=at(50), **SAID)
    made = change.detail["to"]
    assert (await shop.members())["m33000"] == made
    await shop.fail("e5", "text of m33000")
    assert (await shop.members())["e5"] == made
    await store.changes.undo("shop", change.change_id, at=at(60), **SAID)
    assert set((await shop.members()).values()) == {"p-e1"}
    assert (await shop.cases()) == {"p-e1": ("e1", 5)}


async def test_a_pattern_made_of_very_many_is_merged_and_comes_out_again(
    shop: Recording, store: Store, at: At
) -> None:
    other = await shop.fail("e8", "eight", vector=(0, 0, 0, 1))
    change = await store.changes.merge("shop", other, ["p-e1"], at=at(50), **SAID)
    assert set((await shop.members()).values()) == {other}
    await shop.fail("e9", "text of m00007")
    await store.changes.undo("shop", change.change_id, at=at(60), **SAID)
    members = await shop.members()
    assert {event for event, one in members.items() if one == other} == {"e8"}
    assert members["e9"] == "p-e1"


async def test_a_split_tells_the_first_of_its_failures_and_how_many_there_are(
    store: Store, at: At
) -> None:
    """What it moved is known by the texts: a failure may have come a million times."""
    project = Recording(store, at)
    root = await project.fail("e1", "one")
    await project.fail("a", "often", into=root, vector=(0, 1, 0, 0))
    rows = [
        {
            "project": "shop",
            "event_id": f"o{n:04d}",
            "trace_id": "t",
            "pattern_id": root,
            "decided_by": "fingerprint",
            "distance": 0.0,
            "fingerprint": "often",
            "space": "s/text-1",
            "failed_at": at(n),
        }
        for n in range(300)
    ]
    await store._database.write(lambda connection: connection.execute(insert(occurrence), rows))
    change = await store.changes.split("shop", root, ["o0250"], at=at(50), **SAID)
    assert change.detail["count"] == 301
    assert len(change.detail["events"]) == EVENTS_TOLD
    assert change.detail["events"][:2] == ["a", "o0000"]
    assert (await project.members())["o0299"] == change.detail["to"]


async def test_ten_thousand_texts_are_split_off_and_labelled_at_once(store: Store, at: At) -> None:
    project = Recording(store, at)
    root = await project.fail("e1", "one")
    names = [f"n{n:05d}" for n in range(10_000)]
    fingerprints = [
        {"project": "shop", "fingerprint": f"f{name}", "pattern_id": root, "distance": 0.1}
        for name in names
    ]
    rows = [
        {
            "project": "shop",
            "event_id": name,
            "trace_id": "t",
            "pattern_id": root,
            "decided_by": "embedding",
            "distance": 0.1,
            "fingerprint": f"f{name}",
            "space": "s/text-1",
            "failed_at": at(0),
        }
        for name in names
    ]

    def keep(connection: Connection) -> None:
        connection.execute(insert(pattern_fingerprint), fingerprints)
        connection.execute(insert(occurrence), rows)

    await store._database.write(keep)
    change = await store.changes.split("shop", root, names, at=at(50), **SAID)
    assert change.detail["count"] == len(await store.labels.every("shop")) == len(names)
    await store.changes.undo("shop", change.change_id, at=at(60), **SAID)
    assert await store.labels.every("shop") == []
    assert await project.patterns() == {root: 10_001}
