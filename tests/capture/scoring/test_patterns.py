"""Regular expressions that cannot hang."""
# ruff: noqa: FBT001 - whether a trace fails is a parameter of the test

from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.trace import Step

TOOLS = (
    Step(type="tool_call", name="f", arguments={"sql": "DROP TABLE x"}),
    Step(type="tool_result", name="f", content="ok", error="Traceback (most recent call last)"),
    Step(type="assistant", content="lorem ipsum"),
)


@pytest.mark.parametrize(
    ("scorer", "trace", "fails"),
    [
        ({"pattern": "lorem"}, {"output": "Lorem lorem"}, True),
        ({"pattern": "lorem"}, {"output": "LOREM"}, False),
        ({"pattern": "lorem", "ignore_case": True}, {"output": "LOREM"}, True),
        ({"pattern": "lorem"}, {"output": {"a": ["lorem"]}}, True),
        ({"pattern": "lorem"}, {"input": "lorem", "output": "x"}, False),
        ({"pattern": "lorem", "on": "input"}, {"input": "lorem"}, True),
        ({"pattern": "(?i)drop table", "on": "tools"}, {"steps": TOOLS}, True),
        ({"pattern": "Traceback", "on": "tools"}, {"steps": TOOLS}, True),
        ({"pattern": "lorem", "on": "tools"}, {"steps": TOOLS}, False),
        ({"pattern": r"\[\d+\]", "must": "match"}, {"output": "It is so [1]."}, False),
        ({"pattern": r"\[\d+\]", "must": "match"}, {"output": "It is so."}, True),
        ({"pattern": r"\[\d+\]", "must": "match"}, {"output": None}, False),
        ({"pattern": "Grüße 🧳"}, {"output": "viele Grüße 🧳!"}, True),
    ],
)
def test_a_text_has_what_it_must_not_have_or_lacks_what_it_must(
    examined: Any, scorer: dict[str, Any], trace: dict[str, Any], fails: bool
) -> None:
    found = examined({"type": "regex", **scorer}, **trace)
    assert bool(found.signals) is fails


def test_the_reason_quotes_what_was_found_and_the_signal_has_the_scorers_name(ask: Any) -> None:
    (found,) = ask(
        {"type": "regex", "name": "no_lorem", "version": "2b", "pattern": "lor.m"}, output="a lorem"
    )
    assert found.reason == "The output has what must not be there: 'lorem' (lor.m)"
    assert (found.name, found.scorer, found.severity) == ("no_lorem", "no_lorem/2b", "medium")


def test_a_pattern_that_would_take_years_elsewhere_takes_no_time(ask: Any) -> None:
    assert ask({"type": "regex", "pattern": "(a*)*(b|c)$"}, output="a" * 200_000) == []


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(a)\1", "a{5000}"])
def test_a_pattern_that_re2_does_not_take_is_refused_with_why(pattern: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="not a regular expression that RE2 takes"):
        msgspec.convert({"scorers": [{"type": "regex", "pattern": pattern}]}, ScoringPolicy)
