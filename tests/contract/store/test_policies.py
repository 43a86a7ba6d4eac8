"""`services.policy.PolicyStore`."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from dedup.policy import DedupPolicy
from promote.policy import PromotionPolicy
from services.policy import Policy, PolicyChange
from services.store.open import Store

At = Callable[[float], datetime]


def policy(distance: float) -> Policy:
    return Policy(dedup=DedupPolicy(distance=distance), promotion=PromotionPolicy(rules=()))


async def test_a_project_that_never_set_a_policy_has_the_defaults(store: Store) -> None:
    assert await store.policies.current("shop") == (0, Policy())
    assert await store.policies.history("shop") == []


async def test_every_change_says_who_when_why_before_and_after(store: Store, at: At) -> None:
    first = await store.policies.change(
        "shop", policy(0.2), by="ada", reason="too coarse\x00", at=at(1), expected=0
    )
    second = await store.policies.change(
        "shop", policy(0.1), by="bob", reason="still", at=at(2), expected=1
    )
    assert first is not None
    assert second == PolicyChange(
        project="shop",
        version=2,
        changed_by="bob",
        changed_at=at(2),
        reason="still",
        before=policy(0.2),
        after=policy(0.1),
    )
    assert await store.policies.current("shop") == (2, policy(0.1))
    history = await store.policies.history("shop")
    assert [(one.version, one.before, one.after) for one in history] == [
        (1, Policy(), policy(0.2)),
        (2, policy(0.2), policy(0.1)),
    ]
    assert await store.policies.current("bank") == (0, Policy())


async def test_a_change_of_an_outdated_or_future_version_is_refused(store: Store, at: At) -> None:
    await store.policies.change("shop", policy(0.2), by="ada", reason="r", at=at(1), expected=0)
    for expected in (0, 2, 7):
        refused = await store.policies.change(
            "shop", policy(0.1), by="bob", reason="r", at=at(2), expected=expected
        )
        assert refused is None
    assert await store.policies.current("shop") == (1, policy(0.2))


async def test_of_changes_at_once_one_is_made(another_store: Callable[[], Store], at: At) -> None:
    handles = another_store(), another_store()

    async def change(number: int) -> PolicyChange | None:
        return await handles[number % 2].policies.change(
            "shop", policy(number / 10), by=str(number), reason="r", at=at(1), expected=0
        )

    made = [one for one in await asyncio.gather(*(change(n) for n in range(8))) if one is not None]
    assert len(made) == 1
    assert await handles[0].policies.current("shop") == (1, made[0].after)
