"""`services.store.secrets.Secrets`."""

import asyncio
from collections.abc import Callable

from services.store.open import Store


async def test_a_secret_is_drawn_once_and_is_the_same_for_all_who_ask(
    another_store: Callable[[], Store],
) -> None:
    handles = [another_store() for _ in range(4)]
    drawn = await asyncio.gather(
        *(handles[n % 4].secrets.get_or_make("redaction") for n in range(16))
    )
    assert len(set(drawn)) == 1
    assert len(drawn[0]) == 32
    assert await another_store().secrets.get_or_make("redaction") == drawn[0]


async def test_every_name_has_a_secret_of_its_own(store: Store) -> None:
    assert await store.secrets.get_or_make("one") != await store.secrets.get_or_make("other")
