"""Numbers of a trace against bounds."""
# ruff: noqa: FBT001 - whether a trace fails is a parameter of the test

from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.trace import Signal


def test_cost_names_what_was_paid_and_the_bound(ask: Any) -> None:
    scorer = {"type": "cost", "above_usd": 0.1}
    (found,) = ask(scorer, cost_usd=0.25)
    assert found.reason == "The answer cost $0.25, above the bound of $0.1."
    assert (found.severity, found.value, found.fault) == ("medium", 0.25, "model")
    assert ask(scorer, cost_usd=0.1) == ask(scorer) == []


@pytest.mark.parametrize(
    ("of", "trace", "fails"),
    [
        ("in", {"tokens_in": 101, "tokens_out": 500}, True),
        ("in", {"tokens_in": 100, "tokens_out": 500}, False),
        ("out", {"tokens_in": 500, "tokens_out": 101}, True),
        ("out", {"tokens_in": 500}, False),
        ("total", {"tokens_in": 60, "tokens_out": 41}, True),
        ("total", {"tokens_in": 60, "tokens_out": 40}, False),
        ("total", {"tokens_out": 101}, True),
        ("total", {}, False),
    ],
)
def test_tokens_are_those_read_those_written_or_both(
    ask: Any, of: str, trace: dict[str, int], fails: bool
) -> None:
    found = ask({"type": "tokens", "above": 100, "of": of}, **trace)
    assert bool(found) is fails
    if found:
        assert "101 tokens, above the bound of 100" in found[0].reason
        assert found[0].name == f"tokens_{of}"


@pytest.mark.parametrize(
    ("bounds", "value", "fails"),
    [
        ({"below": 0.5}, 0.4, True),
        ({"above": 0.5}, 0.6, True),
        ({"above": 0.5}, True, True),
        ({"below": 1, "above": 5}, 3.0, False),
        ({"below": 1, "above": 5}, 6.0, True),
    ],
)
def test_a_score_may_have_two_bounds(
    ask: Any, bounds: dict[str, float], value: Any, fails: bool
) -> None:
    said = (Signal(name="toxicity", value=value, source="judge"),)
    assert bool(ask({"type": "score", "signal": "toxicity"} | bounds, signals=said)) is fails


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ({"type": "score", "signal": "s"}, "say `below`, `above`, or both"),
        ({"type": "score", "signal": "s", "below": 5, "above": 1}, "every number would fail"),
        ({"type": "cost", "above_usd": -1}, ">= 0"),
        ({"type": "tokens", "above": 0}, ">= 1"),
        ({"type": "tokens", "above": 5, "of": "all"}, "Invalid enum value 'all'"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_refused(scorer: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"scorers": [scorer]}, ScoringPolicy)
    assert said in str(refused.value)
