from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.policy import (
    ErrorScorer,
    FeedbackScorer,
    JsonSchemaScorer,
    LatencyScorer,
    ScoringPolicy,
    SignalScorer,
)
from dedup.policy import DedupPolicy
from promote.policy import PromotionPolicy, PromotionRule
from services.errors import Unavailable
from services.policy import Policies, Policy

_policies = st.builds(
    Policy,
    scoring=st.builds(
        ScoringPolicy,
        scorers=st.lists(
            st.one_of(
                st.just(ErrorScorer()),
                st.builds(LatencyScorer, above_ms=st.floats(1, 1e9)),
                st.builds(FeedbackScorer, below=st.floats(-10, 10)),
                st.builds(SignalScorer, signal=st.just("s"), below=st.floats(-10, 10)),
                st.just(JsonSchemaScorer(schema={"type": "object"})),
            ),
            max_size=5,
            unique_by=lambda scorer: scorer.label,
        ).map(tuple),
    ),
    dedup=st.builds(DedupPolicy, distance=st.floats(0, 2)),
    promotion=st.builds(
        PromotionPolicy,
        rules=st.lists(
            st.builds(
                PromotionRule,
                set=st.sampled_from(["monitoring", "backlog"]),
                min_weight=st.floats(0, 1),
            ),
            max_size=3,
        ).map(tuple),
    ),
)


@settings(deadline=None)
@given(_policies)
def test_a_policy_is_the_same_after_it_was_kept_as_json(policy: Policy) -> None:
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


def test_a_misspelt_part_of_a_policy_is_refused() -> None:
    """A setting that was quietly ignored is one that nobody knows is not in force."""
    for wrong in ({"dedupe": {}}, {"dedup": {"distnace": 0.2}}, {"scoring": {"scorer": []}}):
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            msgspec.convert(wrong, Policy)


async def test_a_policy_is_read_once_while_it_is_fresh_and_again_after_two_seconds(
    policy_store: Any,
) -> None:
    now = 100.0
    policies = Policies(policy_store, clock=lambda: now)
    assert await policies.of("shop") == Policy()
    changed = Policy(dedup=DedupPolicy(distance=0.1))
    policy_store.policies["shop"] = changed
    now = 101.9
    assert await policies.of("shop") == Policy()
    now = 102.1
    assert await policies.of("shop") == changed
    assert policy_store.asked == ["shop", "shop"]


async def test_projects_have_policies_of_their_own(policy_store: Any) -> None:
    policy_store.policies["bank"] = Policy(dedup=DedupPolicy(distance=0.1))
    policies = Policies(policy_store)
    assert (await policies.of("shop")).dedup.distance != (await policies.of("bank")).dedup.distance


async def test_a_store_that_is_down_leaves_nothing_stale_in_force() -> None:
    """An old policy is not used in place of one that cannot be read."""

    class _Down:
        async def current(self, project: str) -> tuple[int, Policy]:
            message = f"no policy of {project}: the store is down"
            raise Unavailable(message)

    policies = Policies(_Down())  # type: ignore[arg-type] - only `current` is asked
    with pytest.raises(Unavailable, match="the store is down"):
        await policies.of("shop")
