"""JSON Schemas come with traces too: none of their patterns may hang capture."""

import re
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.policy import ScoringPolicy
from capture.scoring.schemas import checker_of
from capture.trace import Step

YEARS = "^(a+)+$"
LONG = "a" * 5000 + "!"
NAMES = st.text("abx", max_size=3)
INNER = st.sampled_from([True, False, {"type": "integer"}, {"type": "string", "pattern": "^a"}])
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("object"),
        "properties": st.dictionaries(NAMES, INNER, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$", "x"]), INNER, max_size=2),
        "additionalProperties": INNER,
    },
)
VALUES = st.dictionaries(NAMES, st.integers() | st.sampled_from(["a", "ba", ""]), max_size=4)


@given(SCHEMAS, VALUES | st.text("ab") | st.none())
def test_they_say_what_the_library_says(schema: dict[str, Any], value: Any) -> None:
    broken = checker_of(schema)(value)
    assert (broken is None) is jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"properties": {"x": {"type": "string", "pattern": YEARS}}}, {"x": LONG}),
        ({"patternProperties": {YEARS: False}, "required": ["y"]}, {LONG: 1}),
        ({"patternProperties": {YEARS: {}}, "additionalProperties": False}, {LONG: 1}),
    ],
)
def test_a_pattern_that_would_take_years_elsewhere_takes_no_time(
    ask: Any, schema: dict[str, Any], arguments: dict[str, Any]
) -> None:
    tools = [{"name": "f", "parameters": schema}]
    steps = (Step(type="tool_call", name="f", arguments=arguments),)
    (signal,) = ask({"type": "tool_call"}, metadata={"tools": tools}, steps=steps)
    assert signal.name == "tool_arguments"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": {"pattern": "(?=a)"}}},
        {"$ref": "#/$defs/d", "unevaluatedProperties": False,
         "$defs": {"d": {"patternProperties": {YEARS: {}}}}},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_safely_is_a_trouble_of_the_scorer(
    examined: Any, schema: dict[str, Any]
) -> None:
    found = examined({"type": "json_schema", "schema": schema}, output={"x": LONG, LONG: 1})
    assert found.signals == ()
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    ("scorer", "why"),
    [
        ({"type": "json_schema", "schema": {"$schema": 5}}, "$schema: it is not text"),
        ({"type": "refusal", "phrases": [" "]}, "phrases"),
    ],
)
def test_what_could_mean_nothing_is_refused(scorer: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(why)):
        msgspec.convert({"scorers": [scorer]}, ScoringPolicy)
