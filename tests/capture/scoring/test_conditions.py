"""Which traces a scorer is asked about."""
# ruff: noqa: FBT001 - whether a trace fails is a parameter of the test

from typing import Any

import pytest

LATENCY = {"type": "latency", "above_ms": 1}


@pytest.mark.parametrize(
    ("when", "trace", "asked"),
    [
        ({}, {}, True),
        ({"model": ["gpt-4*"]}, {"model": "gpt-4o-mini"}, True),
        ({"model": ["gpt-4*"]}, {"model": "GPT-4o"}, True),
        ({"model": ["gpt-4*"]}, {"model": "o3"}, False),
        ({"model": ["gpt-4*", "o?"]}, {"model": "o3"}, True),
        ({"model": ["*"]}, {}, False),
        ({"model": ["gpt-4.1"]}, {"model": "gpt-4x1"}, False),
        ({"model": ["a[b]*"]}, {"model": "a[b]c"}, True),
        ({"release": ["2026.*"], "environment": ["prod*"]}, {"release": "2026.3"}, False),
        (
            {"release": ["2026.*"], "environment": ["prod*"]},
            {"release": "2026.3", "environment": "production"},
            True,
        ),
        ({"metadata": {"tier": "gold"}}, {"metadata": {"tier": "gold"}}, True),
        ({"metadata": {"tier": "gold"}}, {"metadata": {"tier": "silver"}}, False),
        ({"metadata": {"tier": "gold"}}, {"metadata": {}}, False),
        ({"metadata": {"beta": "true"}}, {"metadata": {"beta": True}}, True),
        ({"metadata": {"n": "4?"}}, {"metadata": {"n": 42}}, True),
        ({"metadata": {"tags": "*vip*"}}, {"metadata": {"tags": ["a", "vip"]}}, True),
        ({"metadata": {"a": "*", "b": "*"}}, {"metadata": {"a": "x"}}, False),
    ],
)
def test_a_scorer_is_asked_about_traces_that_fit_every_condition(
    ask: Any, when: dict[str, Any], trace: dict[str, Any], asked: bool
) -> None:
    assert bool(ask(LATENCY | {"when": when}, latency_ms=2.0, **trace)) is asked


def test_a_glob_takes_time_in_proportion_to_the_text(ask: Any) -> None:
    """With backtracking this one would take years."""
    when = {"model": ["*a" * 40 + "b"]}
    assert ask(LATENCY | {"when": when}, latency_ms=2.0, model="a" * 100_000) == []
