"""`services.judge.judge.Judgements`."""

import asyncio
from collections.abc import Callable

from services.store.open import Store


async def test_an_answer_is_found_by_what_was_asked(store: Store) -> None:
    kept = store.judgements
    assert await kept.find("shop", "q1") is None
    await kept.keep("shop", "q1", '{"pass": true}', now_ms=1)
    assert await kept.find("shop", "q1") == '{"pass": true}'
    assert await kept.find("shop", "q2") is None
    assert await kept.find("bank", "q1") is None, "projects share nothing"


async def test_of_one_question_the_first_answer_stays(
    another_store: Callable[[], Store],
) -> None:
    handles = another_store(), another_store()
    await handles[0].judgements.keep("shop", "q", "first", now_ms=1)
    await asyncio.gather(
        *(handles[n % 2].judgements.keep("shop", "q", f"later {n}", now_ms=2) for n in range(6))
    )
    assert await handles[1].judgements.find("shop", "q") == "first"


async def test_old_answers_are_deleted_a_few_at_a_time(store: Store) -> None:
    for n in range(5):
        await store.judgements.keep("shop", f"q{n}", "x", now_ms=n)
    assert await store.judgements.expire(before_ms=4, limit=3) == 3
    assert await store.judgements.expire(before_ms=4, limit=3) == 1
    assert await store.judgements.expire(before_ms=4, limit=3) == 0
    assert await store.judgements.find("shop", "q3") is None
    assert await store.judgements.find("shop", "q4") == "x"


async def test_an_answer_may_hold_anything(store: Store) -> None:
    answer = '{"pass": false, "reason": "\\u0000 \U0001f9f3 Grüße"}'
    await store.judgements.keep("shop", "q", answer, now_ms=1)
    assert await store.judgements.find("shop", "q") == answer
