"""Which traces fail, and what a person is told."""
# ruff: noqa: FBT001, FBT003 - a signal is often a truth value

from typing import Any

import msgspec
import pytest

from capture.events import FailingSignal
from capture.experiments import is_experiment
from capture.policy import JsonSchemaScorer, Scorer, ScoringPolicy
from capture.scorers import examine, severity_of
from capture.trace import Signal, Step, Trace


def trace(**fields: Any) -> Trace:
    return Trace(trace_id="t", project="p", **fields)


def signal(value: Any, name: str = "thumbs", source: str = "user", **more: Any) -> Signal:
    return Signal(name=name, value=value, source=source, **more)


STEPS = {"type": "error", "step_severity": "low"}


def verdicts(subject: Trace, *scorers: dict[str, Any]) -> tuple[FailingSignal, ...]:
    policy = msgspec.convert({"scorers": scorers}, ScoringPolicy)
    return examine(subject, policy).signals


def only(subject: Trace, scorer: dict[str, Any]) -> FailingSignal:
    [verdict] = verdicts(subject, scorer)
    return verdict


def test_a_trace_where_nothing_went_wrong_passes_the_default_policy() -> None:
    good = trace(
        latency_ms=29_999.0, output="o", signals=(signal(1.0, "task_resolved", "outcome"),)
    )
    assert examine(good, ScoringPolicy()).signals == ()


def test_an_error_of_the_request_is_worse_than_one_of_a_step() -> None:
    failed_step = Step(type="tool_result", name="find", error="timed out")
    request = trace(metadata={"error.type": "Boom", "error.message": "out of cheese"})
    verdict = only(request, {"type": "error"})
    assert verdict.severity == "high"
    assert verdict.scorer == "error/1"
    assert verdict.reason == "The request ended in an error: Boom: out of cheese"
    verdict = only(trace(steps=(failed_step,)), {"type": "error", "step_severity": "medium"})
    assert verdict.severity == "medium"
    assert "tool_result 'find' ended in an error: timed out" in verdict.reason


@pytest.mark.parametrize("error", [None, False, ""])
def test_a_step_that_says_it_had_no_error_had_none(error: Any) -> None:
    assert verdicts(trace(steps=(Step(type="tool_result", error=error),)), STEPS) == ()


def test_a_step_that_only_says_true_is_explained_by_its_content() -> None:
    step = Step(type="tool_result", name="f", content="404 no such order", error=True)
    assert "404 no such order" in only(trace(steps=(step,)), STEPS).reason


def test_a_failed_step_alone_fails_no_trace_unless_asked_for() -> None:
    subject = trace(steps=(Step(type="tool_result", error="no seats"),))
    assert examine(subject, ScoringPolicy()).signals == ()


def test_latency_names_the_time_and_the_bound() -> None:
    scorer = {"type": "latency", "above_ms": 30_000}
    verdict = only(trace(latency_ms=30_001.0), scorer)
    assert verdict.reason == "The answer took 30001 ms, above the bound of 30000 ms."
    assert (verdict.severity, verdict.value) == ("medium", 30_001)
    assert verdicts(trace(latency_ms=30_000.0), scorer) == verdicts(trace(), scorer) == ()


@pytest.mark.parametrize(
    "said",
    [
        signal(False),
        signal(0.0),
        signal(0.49),
        signal("down"),
        signal(" Thumbs Down "),
        signal(False, "helpful"),
        signal(0.0, "user-feedback", "app"),
        signal(True, "thumbs_down", "app"),
        signal(1.0, "thumbs-down"),
    ],
)
def test_users_are_unhappy_in_many_ways(said: Signal) -> None:
    verdict = only(trace(signals=(said,)), {"type": "feedback"})
    assert verdict.severity == "high"
    assert verdict.source == said.source
    assert verdict.value == said.value


@pytest.mark.parametrize(
    "said",
    [
        signal(True),
        signal(0.5),
        signal(5.0),
        signal("up"),
        signal("not sure"),
        signal(None, comment="hm"),
        signal(False, "cached", "app"),
        signal(False, "thumbs_down"),
    ],
)
def test_other_signals_are_no_complaint(said: Signal) -> None:
    assert verdicts(trace(signals=(said,)), {"type": "feedback"}) == ()


def test_the_last_word_of_each_source_counts() -> None:
    taken_back = (signal(False), signal(True))
    assert verdicts(trace(signals=taken_back), {"type": "feedback"}) == ()
    assert verdicts(trace(signals=taken_back[::-1]), {"type": "feedback"})
    two = (signal(False, source="user"), signal(True, source="end_user"))
    assert len(verdicts(trace(signals=two), {"type": "feedback"})) == 1


def test_stars_are_judged_by_the_projects_own_bound_and_quote_the_comment() -> None:
    subject = trace(signals=(signal(2.0, "stars", comment="wrong\n address"),))
    assert verdicts(subject, {"type": "feedback"}) == ()
    reason = only(subject, {"type": "feedback", "below": 3}).reason
    assert "stars = 2, below the bound of 3" in reason
    assert "wrong address" in reason


@pytest.mark.parametrize(
    ("value", "fails"), [(0.0, True), (False, True), (0.99, True), (1.0, False), (True, False)]
)
def test_a_score_below_its_bound_fails(value: Any, fails: bool) -> None:
    scorer = {"type": "score", "signal": "task_resolved", "below": 1}
    found = verdicts(trace(signals=(signal(value, "task_resolved", "outcome"),)), scorer)
    assert bool(found) is fails
    if fails:
        assert "below the bound of 1 (said by outcome)" in found[0].reason


def test_a_score_that_is_a_label_or_another_signals_is_left_alone() -> None:
    scorer = {"type": "score", "signal": "s", "below": 1}
    others = (signal("low", "s"), signal(None, "s", "x"), signal(0.0, "other"))
    assert verdicts(trace(signals=others), scorer) == ()


SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("Tokyo is sunny", "The output is not JSON"),
        (None, "at $: None is not of type 'object'"),
        ('{"city": 5}', "at $.city: 5 is not of type 'string'"),
        ({"town": "x"}, "at $: 'city' is a required property"),
        ("[" * 5000, "not JSON"),
    ],
)
def test_an_output_that_breaks_its_schema_fails_where_it_does(output: Any, said: str) -> None:
    verdict = only(trace(output=output), {"type": "json_schema", "schema": SCHEMA})
    assert said in verdict.reason


@pytest.mark.parametrize("output", ['{"city": "x"}', {"city": "x", "more": 1}])
def test_an_output_that_keeps_its_schema_passes(output: Any) -> None:
    assert verdicts(trace(output=output), {"type": "json_schema", "schema": SCHEMA}) == ()


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ({"type": "json_schema", "schema": {"type": "objet"}}, "not a valid JSON Schema at $.type"),
        ({"type": "latency"}, "missing required field `above_ms`"),
        ({"type": "latency", "above_ms": 0}, "> 0"),
        ({"type": "latency", "above_ms": 1, "over": 2}, "unknown field `over`"),
        ({"type": "magic"}, "Invalid value 'magic'"),
        ({"type": "error", "severity": "awful"}, "Invalid enum value 'awful'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(scorer: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"scorers": [scorer]}, ScoringPolicy)
    assert said in str(refused.value)


def test_a_scorer_that_raises_is_a_problem_and_the_others_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A schema that refers to another address is such a one: it is never fetched."""
    elsewhere = JsonSchemaScorer(schema={"$ref": "https://example.org/schema.json"})
    scorers: tuple[Scorer, ...] = (elsewhere, *ScoringPolicy().scorers)
    found = examine(trace(latency_ms=60_000.0, output={}), ScoringPolicy(scorers=scorers))
    assert [verdict.name for verdict in found.signals] == ["latency"]
    assert [problem.scorer for problem in found.problems] == ["json_schema/1"]
    assert "https://example.org/schema.json" in found.problems[0].detail


def test_a_policy_survives_its_own_json() -> None:
    policy = ScoringPolicy(scorers=(*ScoringPolicy().scorers, JsonSchemaScorer(schema=SCHEMA)))
    assert msgspec.json.decode(msgspec.json.encode(policy), type=ScoringPolicy) == policy


def test_the_worst_severity_counts() -> None:
    def of(severity: Any) -> FailingSignal:
        return FailingSignal(name="n", scorer="s/1", severity=severity, reason="r")

    assert severity_of((of("low"), of("critical"), of("high"))) == "critical"
    assert severity_of(()) == "low"


@pytest.mark.parametrize(
    "fields",
    [
        {"environment": "evaluation"},
        {"environment": " Experiment "},
        {"environment": "sdk-experiment"},
        {"metadata": {"langfuse.experiment.id": "x"}},
        {"metadata": {"evalratchet.run": "r"}},
        {"metadata": {"langfuse.trace.metadata.evalratchet.run": "r"}},
    ],
)
def test_eval_traffic_is_known_for_what_it_is(fields: dict[str, Any]) -> None:
    assert is_experiment(trace(**fields))


@pytest.mark.parametrize(
    "fields", [{}, {"environment": "production"}, {"metadata": {"experiment": "a/b test 12"}}]
)
def test_production_traffic_is_no_experiment(fields: dict[str, Any]) -> None:
    assert not is_experiment(trace(**fields))
