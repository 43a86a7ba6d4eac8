from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.events import SEVERITIES, Severity
from capture.trace import Step
from grade.events import Graded
from promote.case import Case
from promote.events import CasePromoted
from promote.policy import PromotionPolicy, PromotionRule
from promote.rules import chosen_set, is_promotable, is_representative, make_case, raised

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)
DEFAULTS = PromotionPolicy()

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_content = st.none() | st.text(max_size=60) | st.dictionaries(st.text(), _json, max_size=3)
_severities = st.lists(st.sampled_from(SEVERITIES), min_size=1, max_size=4)
_rules = st.lists(
    st.builds(
        PromotionRule,
        set=st.sampled_from(["monitoring", "backlog"]),
        min_severity=st.sampled_from(SEVERITIES),
        min_weight=st.floats(0, 1),
        waits_for=st.sampled_from([None, "expected", "review"]),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(_content, _content, _severities, _rules)
def test_the_failing_output_is_never_the_expected_one(
    make_graded: Callable[..., Graded],
    asked: object,
    answered: object,
    severities: list[Severity],
    rules: list[PromotionRule],
) -> None:
    """A case that expects the mistake would guard it for ever."""
    graded = make_graded(severities, input=asked, output=answered)
    case = make_case(graded, PromotionPolicy(rules=tuple(rules)), now=NOW)
    assert case.failing_output == answered
    assert case.expected is None


@settings(deadline=None)
@given(_content, _content, _severities, _rules)
def test_a_case_survives_the_wire_unchanged(
    make_graded: Callable[..., Graded],
    asked: object,
    answered: object,
    severities: list[Severity],
    rules: list[PromotionRule],
) -> None:
    steps = (Step(type="user", content="hi"), Step(type="tool_call", name="f", arguments={"a": 1}))
    graded = make_graded(severities, input=asked, output=answered, steps=steps)
    case = make_case(graded, PromotionPolicy(rules=tuple(rules)), now=NOW)
    event = CasePromoted(event_id="x", case=case)
    assert msgspec.json.decode(msgspec.json.encode(event), type=CasePromoted) == event


@settings(deadline=None)
@given(_severities, st.none() | st.floats(0, 2), _rules)
def test_a_rule_can_be_read_back_from_where_the_case_went(
    make_graded: Callable[..., Graded],
    severities: list[Severity],
    distance: float | None,
    rules: list[PromotionRule],
) -> None:
    """The first rule that fits decides; the rules alone never make a case blocking."""
    graded = make_graded(severities, distance=distance)
    rank, weight = SEVERITIES.index(graded.grade.severity), graded.grade.weight
    fitting = [
        rule
        for rule in rules
        if SEVERITIES.index(rule.min_severity) <= rank and rule.min_weight <= weight
    ]
    case_set, waits_for = chosen_set(graded, PromotionPolicy(rules=tuple(rules)))
    assert case_set == (fitting[0].set if fitting else "backlog")
    if case_set == "backlog":
        assert waits_for is not None, "a case in the backlog says what it waits for"
    if fitting and fitting[0].waits_for:
        assert waits_for == fitting[0].waits_for


def test_by_default_what_is_severe_is_monitored_and_the_rest_waits_for_review(
    make_graded: Callable[..., Graded],
) -> None:
    chosen = {severity: chosen_set(make_graded([severity]), DEFAULTS) for severity in SEVERITIES}
    assert chosen == {
        "low": ("backlog", "review"),
        "medium": ("backlog", "review"),
        "high": ("monitoring", None),
        "critical": ("monitoring", None),
    }


def test_only_the_failure_that_a_pattern_keeps_represents_it(
    make_graded: Callable[..., Graded],
) -> None:
    assert is_representative(make_graded(decided_by="first"))
    assert not is_representative(make_graded(decided_by="fingerprint"))
    assert not is_representative(make_graded(decided_by="embedding"))


def test_a_case_says_everything_about_where_it_comes_from(
    make_graded: Callable[..., Graded],
) -> None:
    graded = make_graded(
        ("medium", "critical", "critical", "low"),
        input="q",
        output="a",
        environment="production",
        release="2.1",
        model="m-1",
        session_id="s9",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    case = make_case(graded, DEFAULTS, now=NOW)
    assert case.label == "s1", "the first of the worst signals"
    assert case.tags == (
        "severity:critical",
        "signal:s0",
        "signal:s1",
        "signal:s2",
        "signal:s3",
        "environment:production",
        "release:2.1",
        "model:m-1",
    )
    assert [signal.reason for signal in case.signals] == ["R0.", "R1.", "R2.", "R3."]
    assert case.provenance.scorers == ("k0/1", "k1/1")
    assert case.provenance.trace_id == "t1"
    assert case.provenance.event_id == "e1"
    assert case.provenance.pattern_id == case.pattern_id == "p1"
    assert case.provenance.session_id == "s9"
    assert case.provenance.embedding_space == "test/1"
    assert case.provenance.failed_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert case.created_at == NOW
    assert (case.weight, case.components) == (graded.grade.weight, graded.grade.components)


def test_what_a_trace_does_not_say_is_no_tag(make_graded: Callable[..., Graded]) -> None:
    assert make_case(make_graded(), DEFAULTS, now=NOW).tags == ("severity:high", "signal:s0")


def test_a_pattern_has_the_same_case_id_on_every_machine_and_another_in_every_project(
    make_graded: Callable[..., Graded],
) -> None:
    def case(**trace: str) -> Case:
        return make_case(make_graded(**trace), DEFAULTS, now=NOW)

    assert case(trace_id="t1").case_id == case(trace_id="t2").case_id
    assert case(project="shop").case_id != case(project="bank").case_id


@pytest.mark.parametrize(
    "rule",
    [
        {"set": "blocking"},
        {"set": "monitoring", "min_weight": 1.5},
        {"set": "monitoring", "min_severity": "awful"},
        {"set": "monitoring", "weight": 0.5},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, object]) -> None:
    """Blocking is the owner's to choose, and a misspelt condition would quietly not hold."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rules": [rule]}, PromotionPolicy)


def test_a_promoted_event_says_whose_it_is(make_graded: Callable[..., Graded]) -> None:
    event = CasePromoted(event_id="x", case=make_case(make_graded(), DEFAULTS, now=NOW))
    assert (event.project, event.trace_id) == ("shop", "t1")


@pytest.mark.parametrize("fault", ["input", "unknown", "infrastructure"])
def test_no_rule_promotes_what_is_not_the_models_fault(
    make_graded: Callable[..., Graded], fault: str
) -> None:
    """Only a person can say that such a failure is worth a test."""
    rules = (PromotionRule(set="monitoring"),)
    graded = make_graded(("critical",), fault=fault)
    assert chosen_set(graded, PromotionPolicy(rules=rules)) == ("backlog", "review")
    assert is_promotable(graded) is (fault != "infrastructure")


def test_a_graver_telling_raises_a_case_and_leaves_what_people_did(
    make_graded: Callable[..., Graded],
) -> None:
    mild = make_case(make_graded(("medium",)), DEFAULTS, now=NOW)
    later = datetime(2026, 2, 1, tzinfo=UTC)
    grave = make_case(make_graded(("medium", "critical")), DEFAULTS, now=later)
    changed = raised(mild, grave)
    assert changed is not None
    assert (changed.set, changed.severity, changed.label) == ("monitoring", "critical", "s1")
    assert (changed.case_id, changed.created_at) == (mild.case_id, NOW)
    assert raised(changed, mild) is None
    assert raised(changed, grave) is None
    theirs = msgspec.structs.replace(mild, set_by="ann", waits_for="expected", expected="4")
    changed = raised(theirs, grave)
    assert changed is not None
    assert (changed.set, changed.set_by, changed.waits_for) == ("backlog", "ann", "expected")
    assert changed.expected == "4"


def test_a_graver_telling_never_lowers_the_set(make_graded: Callable[..., Graded]) -> None:
    """Scored again with a policy whose one failing signal is of an error that nobody recognises."""
    kept = make_case(make_graded(("high",)), DEFAULTS, now=NOW)
    told_again = make_case(make_graded(("critical",), fault="unknown"), DEFAULTS, now=NOW)
    assert (kept.set, told_again.set) == ("monitoring", "backlog")
    changed = raised(kept, told_again)
    assert changed is not None
    assert (changed.set, changed.waits_for, changed.severity) == ("monitoring", None, "critical")
