"""A policy's scorers as data: names, versions, samples."""

from typing import Any

import msgspec
import pytest

from capture.policy import KINDS, Scorer, ScoringPolicy
from capture.scorers import examine, failure_fault
from capture.scoring.sample import drawn
from capture.trace import Trace

LEAST: dict[str, dict[str, Any]] = {
    "latency": {"above_ms": 1},
    "cost": {"above_usd": 1},
    "tokens": {"above": 1},
    "json_schema": {"schema": {}},
    "regex": {"pattern": "x"},
    "score": {"signal": "s", "below": 1},
    "python": {"function": "m:f"},
    "judge": {"rubric": "r"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_name_a_version_a_severity_and_conditions(kind: str) -> None:
    stated = {
        "type": kind,
        **LEAST.get(kind, {}),
        "name": "mine",
        "version": "2.1",
        "severity": "low",
        "when": {"model": ["gpt-*"]},
    }
    scorer: Any = msgspec.convert(stated, Scorer)
    assert scorer.versioned == "mine/2.1"
    again = msgspec.json.decode(msgspec.json.encode(scorer), type=Scorer)
    assert again == scorer
    plain: Any = msgspec.convert({"type": kind, **LEAST.get(kind, {})}, Scorer)
    assert plain.versioned == ("score:s/1" if kind == "score" else f"{kind}/1")


def test_two_scorers_of_one_name_are_refused() -> None:
    two = [{"type": "latency", "above_ms": 1}, {"type": "latency", "above_ms": 2}]
    with pytest.raises(msgspec.ValidationError, match="scorers 1 and 2 are both named 'latency'"):
        msgspec.convert({"scorers": two}, ScoringPolicy)
    two[1]["name"] = "very_slow"
    assert len(msgspec.convert({"scorers": two}, ScoringPolicy).scorers) == 2


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a b", "x" * 65])
def test_a_name_that_would_confuse_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"scorers": [{"type": "error", "name": name}]}, ScoringPolicy)


def test_policies_that_were_read_at_different_times_share_what_was_made_ready() -> None:
    """A policy is read again every two seconds; its schemas and patterns are not."""
    from capture.scorers import _compiled  # noqa: PLC0415 - what is asked about

    one = {"scorers": [{"type": "regex", "pattern": "shared"}]}
    first, second = (msgspec.convert(one, ScoringPolicy) for _ in range(2))
    assert _compiled(first.content) is _compiled(second.content)


def test_a_trace_that_passes_the_default_policy_makes_nothing() -> None:
    good = Trace(trace_id="t", project="p", input="q", output="a")
    assert examine(good, ScoringPolicy()) is examine(good, ScoringPolicy())


def test_a_sample_is_the_same_everywhere_and_as_large_as_it_says() -> None:
    ids = [f"trace-{n}" for n in range(20_000)]
    chosen = [one for one in ids if drawn(0.1, one, "judge")]
    assert len(chosen) == 1991, "of these ids, on every machine"
    others = [one for one in ids if drawn(0.1, one, "other judge")]
    assert len(set(chosen) & set(others)) < 300, "two scorers draw apart"
    assert set(chosen) < {one for one in ids if drawn(0.2, one, "judge")}
    assert all(drawn(1, one, "judge") for one in ids[:100])


def test_a_failure_is_the_models_if_any_signal_is(examined: Any) -> None:
    found = examined(
        {"type": "latency", "above_ms": 1}, {"type": "empty_output"}, input="q", latency_ms=2.0
    )
    assert [one.fault for one in found.signals] == ["unknown", "model"]
    assert failure_fault(found.signals) == "model"
    assert failure_fault(found.signals[:1]) == "unknown"
    assert failure_fault(()) == "unknown"


def test_json_schemas_may_be_of_a_tools_arguments(ask: Any) -> None:
    from capture.trace import Step  # noqa: PLC0415 - used here alone

    scorer = {"type": "json_schema", "target": "tool:find", "schema": {"required": ["to"]}}
    steps = (
        Step(type="tool_call", name="other", arguments={}),
        Step(type="tool_call", name="find", arguments={"from": "x"}),
    )
    (found,) = ask(scorer, steps=steps, output="no JSON")
    assert "A call of 'find' breaks its JSON Schema at $: 'to' is a required property" in (
        found.reason
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"scorers": [scorer | {"target": "input"}]}, ScoringPolicy)
