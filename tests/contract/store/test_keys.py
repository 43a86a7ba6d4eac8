"""`services.key_ring.KeyChanges` and `services.http.keys.KeyStore`."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from services.keys import KeyRecord, drawn
from services.store.open import Store

At = Callable[[float], datetime]


def record(at: datetime, project: str | None = "shop", name: str = "web") -> KeyRecord:
    return drawn(project=project, name=name, scopes=["read", "ingest"], now=at, expires_at=None)[0]


async def test_a_key_is_kept_with_all_it_says(store: Store, at: At) -> None:
    one = record(at(1), project=None, name="caf\u00e9")
    two = msgspec.structs.replace(record(at(2)), expires_at=at(100))
    for key in (two, one):
        await store.keys.add(key)
    assert await store.keys.every() == [one, two]
    assert await store.keys.every("shop") == [two]
    assert one.scopes == ("ingest", "read")


async def test_a_revocation_is_for_good_and_keeps_its_first_moment(store: Store, at: At) -> None:
    key = record(at(1))
    await store.keys.add(key)
    assert await store.keys.revoke("nothing", at(2)) is None
    first = await store.keys.revoke(key.key_id, at(2))
    assert first == msgspec.structs.replace(key, revoked_at=at(2))
    assert await store.keys.revoke(key.key_id, at(3)) == first


async def test_whoever_follows_the_changes_sees_each_once_and_in_order(
    store: Store, at: At
) -> None:
    first, second = record(at(1)), record(at(2))
    await store.keys.add(first)
    change, changed = await store.keys.changed_since(0)
    assert list(changed) == [first]
    assert await store.keys.changed_since(change) == (change, [])
    await store.keys.add(second)
    await store.keys.revoke(first.key_id, at(3))
    later, changed = await store.keys.changed_since(change)
    assert [one.key_id for one in changed] == [second.key_id, first.key_id]
    assert changed[1].revoked_at == at(3)
    assert await store.keys.changed_since(later) == (later, [])


async def test_of_changes_at_once_none_is_missed_by_who_follows(
    another_store: Callable[[], Store], at: At
) -> None:
    """A change whose number is smaller than one that was seen would never be seen."""
    handles = [another_store() for _ in range(3)]
    watcher = another_store()
    seen: set[str] = set()
    done = asyncio.Event()

    async def follow() -> None:
        change = 0
        while True:
            last_round = done.is_set()
            change, changed = await watcher.keys.changed_since(change)
            seen.update(one.key_id for one in changed)
            if last_round:
                return

    keys = [record(at(number)) for number in range(24)]
    following = asyncio.create_task(follow())
    await asyncio.gather(*(handles[n % 3].keys.add(key) for n, key in enumerate(keys)))
    done.set()
    await following
    assert seen == {key.key_id for key in keys}


async def test_the_last_use_never_goes_back(store: Store, at: At) -> None:
    key = record(at(1))
    await store.keys.add(key)
    await store.keys.used([(key.key_id, at(20)), ("nothing", at(20))])
    await store.keys.used([(key.key_id, at(10))])
    await store.keys.used([])
    assert (await store.keys.every())[0].last_used_at == at(20)
