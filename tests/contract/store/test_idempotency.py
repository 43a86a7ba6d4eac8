"""`services.http.idempotency.Remembered`."""

import asyncio
from collections.abc import Callable

from services.store.open import Store


async def test_the_first_claim_of_an_event_stands(store: Store) -> None:
    assert await store.idempotency.claim("e", b"one", at_ms=1) == b"one"
    assert await store.idempotency.claim("e", b"two", at_ms=2) == b"one"
    assert await store.idempotency.claim("other", b"two", at_ms=2) == b"two"


async def test_of_claims_at_once_one_is_first_and_all_see_which(
    another_store: Callable[[], Store],
) -> None:
    handles = [another_store() for _ in range(4)]
    claims = [
        handles[n % 4].idempotency.claim("e", f"body {n}".encode(), at_ms=n) for n in range(16)
    ]
    first = set(await asyncio.gather(*claims))
    assert len(first) == 1
    assert await handles[0].idempotency.claim("e", b"late", at_ms=99) == first.pop()


async def test_what_is_old_is_forgotten_in_pieces(store: Store) -> None:
    for number in range(5):
        await store.idempotency.claim(f"e{number}", b"d", at_ms=number)
    assert await store.idempotency.expire(before_ms=4, limit=3) == 3
    assert await store.idempotency.expire(before_ms=4, limit=3) == 1
    assert await store.idempotency.expire(before_ms=4, limit=3) == 0
    assert await store.idempotency.claim("e4", b"other", at_ms=9) == b"d"
    assert await store.idempotency.claim("e0", b"other", at_ms=9) == b"other"
