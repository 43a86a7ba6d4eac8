"""`services.stream.holding.HeldRecords`."""

import asyncio
from collections.abc import Callable, Sequence

from services.store.open import Store
from services.stream.outcome import Hold
from services.stream.port import Record


def record(offset: int, partition: int = 0, value: bytes = b"{}") -> Record:
    headers = (("schema", b"failure/1"), ("odd", b"\xff\x00"), ("schema", b"twice"))
    return Record("failures", partition, offset, b"key\x00", value, headers, 1_000 + offset)


def of(project: str, *offsets: int, partition: int = 0) -> list[tuple[Record, Hold]]:
    return [(record(offset, partition), Hold(project, "its model is gone")) for offset in offsets]


async def waiting(store: Store, *projects: str, limit: int = 100) -> Sequence[int]:
    records = await store.held.oldest("deduper", projects, limit=limit)
    return [one.offset for one in records]


async def test_what_was_set_aside_survives_the_process_and_is_what_it_was(
    another_store: Callable[[], Store],
) -> None:
    first = another_store()
    await first.held.hold("deduper", of("shop", 7, 9, 8), now_ms=50, due_ms=80)
    await first.close()
    second = another_store()
    records = await second.held.oldest("deduper", ["shop"], limit=10)
    assert list(records) == [record(7), record(9), record(8)]  # in the order of being set aside
    (project,) = (await second.held.projects("deduper")).items()
    assert project[0] == "shop"
    assert (project[1].records, project[1].since_ms, project[1].due_ms) == (3, 50, 80)
    assert project[1].why == "its model is gone"


async def test_a_record_that_is_delivered_again_waits_once_and_in_its_place(store: Store) -> None:
    await store.held.hold("deduper", of("shop", 1, 2), now_ms=1, due_ms=9)
    await store.held.hold("deduper", of("shop", 1, 2, 3), now_ms=5, due_ms=14)
    await store.held.hold("deduper", of("shop", 1, partition=4), now_ms=6, due_ms=15)
    assert await waiting(store, "shop") == [1, 2, 3, 1]
    shop = (await store.held.projects("deduper"))["shop"]
    assert (shop.records, shop.since_ms, shop.due_ms) == (4, 1, 9)


async def test_a_record_at_a_place_where_another_one_was_is_another_record(store: Store) -> None:
    """A topic made anew, or another stream, counts from 0 again; what came before may still wait."""
    former, new = record(1), Record("failures", 0, 1, b"key", b"[]", (), 9_999)
    await store.held.hold("deduper", of("shop", 1), now_ms=1, due_ms=9)
    await store.held.hold("deduper", [(new, Hold("shop", "its model is gone"))], now_ms=2, due_ms=9)
    assert list(await store.held.oldest("deduper", ["shop"], limit=9)) == [former, new]
    await store.held.release("deduper", [former], due_ms={"shop": 5})
    assert list(await store.held.oldest("deduper", ["shop"], limit=9)) == [new]


async def test_consumers_and_projects_wait_apart(store: Store) -> None:
    await store.held.hold("deduper", [*of("shop", 1), *of("bank", 2)], now_ms=1, due_ms=9)
    await store.held.hold("other", of("shop", 1), now_ms=1, due_ms=9)
    assert (await store.held.projects("deduper")).keys() == {"shop", "bank"}
    await store.held.release("deduper", [record(1)], due_ms={"shop": 5})
    assert (await store.held.projects("deduper")).keys() == {"bank"}
    assert (await store.held.projects("other"))["shop"].records == 1


async def test_each_project_gets_its_share_of_a_batch(store: Store) -> None:
    await store.held.hold("deduper", of("shop", *range(50)), now_ms=1, due_ms=9)
    await store.held.hold("deduper", of("bank", *range(100, 103)), now_ms=1, due_ms=9)
    assert await waiting(store, "shop", "bank", limit=10) == [0, 1, 2, 3, 4, 100, 101, 102]
    assert await waiting(store, "shop", "bank", limit=1) == [0, 100]
    assert await waiting(store) == []


async def test_a_project_is_claimed_by_one_until_it_is_due_again(store: Store) -> None:
    await store.held.hold("deduper", of("shop", 1), now_ms=1, due_ms=9)
    await store.held.hold("deduper", of("bank", 2), now_ms=1, due_ms=7)
    claim = store.held.claim
    assert list(await claim("deduper", now_ms=6, until_ms=20, limit=5)) == []
    assert list(await claim("deduper", now_ms=9, until_ms=20, limit=1)) == ["bank"]
    assert list(await claim("deduper", now_ms=9, until_ms=21, limit=5)) == ["shop"]
    assert list(await claim("deduper", now_ms=19, until_ms=40, limit=5)) == []
    assert list(await claim("deduper", now_ms=20, until_ms=40, limit=5)) == ["bank"]


async def test_two_that_claim_at_once_never_get_the_same_project(
    another_store: Callable[[], Store],
) -> None:
    stores = [another_store() for _ in range(2)]
    for number in range(20):
        await stores[0].held.hold("deduper", of(f"p{number:02}", number), now_ms=1, due_ms=2)
    claims = await asyncio.gather(
        *(
            one.held.claim("deduper", now_ms=5, until_ms=99, limit=15)
            for _ in range(3)
            for one in stores
        )
    )
    claimed = [project for claim in claims for project in claim]
    assert len(claimed) == len(set(claimed))


async def test_what_was_decided_is_forgotten_and_the_rest_is_due_when_it_is_said(
    store: Store,
) -> None:
    await store.held.hold("deduper", of("shop", 1, 2, 3), now_ms=1, due_ms=9)
    await store.held.hold("deduper", of("bank", 5), now_ms=1, due_ms=9)
    await store.held.release("deduper", [record(1), record(77)], due_ms={"shop": 33, "bank": 44})
    found = await store.held.projects("deduper")
    assert (found["shop"].records, found["shop"].due_ms) == (2, 33)
    assert (found["bank"].records, found["bank"].due_ms) == (1, 44)
    await store.held.release(
        "deduper", [record(2), record(3), record(5)], due_ms={"shop": 0, "bank": 0}
    )
    assert await store.held.projects("deduper") == {}
    assert await waiting(store, "shop", "bank") == []


async def test_nothing_is_lost_when_one_sets_aside_while_another_forgets(
    another_store: Callable[[], Store],
) -> None:
    """The project's row must not go while a record of it comes: nobody would look for it."""
    one, other = another_store(), another_store()
    for number in range(25):
        await one.held.hold("deduper", of("shop", number), now_ms=1, due_ms=2)
        await asyncio.gather(
            one.held.release("deduper", [record(number)], due_ms={"shop": 3}),
            other.held.hold("deduper", of("shop", 1000 + number), now_ms=1, due_ms=2),
        )
        assert (await one.held.projects("deduper"))["shop"].records == 1
        await one.held.release("deduper", [record(1000 + number)], due_ms={"shop": 3})


async def test_nothing_held_and_nothing_released_is_nothing(store: Store) -> None:
    await store.held.hold("deduper", [], now_ms=1, due_ms=2)
    await store.held.release("deduper", [], due_ms={})
    assert await store.held.projects("deduper") == {}


async def test_words_that_no_database_takes_are_kept_as_far_as_they_can_be(store: Store) -> None:
    odd = Hold("shop", "gone\x00 \ud800")
    await store.held.hold("deduper", [(record(1, value=b"\xff\x00"), odd)], now_ms=1, due_ms=2)
    assert (await store.held.projects("deduper"))["shop"].why.startswith("gone")
    (kept,) = await store.held.oldest("deduper", ["shop"], limit=1)
    assert kept.value == b"\xff\x00"
