"""What is wrong in a policy file is said by scorer and field, with what to write."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        (
            {"type": "latency"},
            (
                "Scorer 2 (latency), the field 'above_ms' is missing. For example: "
                '{"type": "latency", "above_ms": 8000}'
            ),
        ),
        (
            {"type": "latency", "above_ms": "8 s", "name": "slow"},
            "Scorer 2 (slow), field 'above_ms': expected a number, got text.",
        ),
        (
            {"type": "latency", "above_ms": 1, "above": 2},
            (
                "Scorer 2 (latency), there is no field 'above'. Did you mean 'above_ms'? A scorer of type "
                "latency has: above_ms, name, version, severity, when."
            ),
        ),
        (
            {"type": "latencey", "above_ms": 1},
            (
                "Scorer 2 (latencey), 'latencey' is no type of scorer. Did you mean 'latency'? There are: "
                "error, latency,"
            ),
        ),
        (
            {"name": "x"},
            "Scorer 2 (x), the field 'type' is missing. It says what kind of scorer this is: error,",
        ),
        (
            {"type": "error", "severity": "awful"},
            "Scorer 2 (error), field 'severity': awful is not one of the words that may stand here.",
        ),
        (
            {"type": "regex", "pattern": "("},
            "Scorer 2 (regex), `pattern` is not a regular expression that RE2 takes: missing ): (.",
        ),
        (
            {"type": "tool_call", "tools": [{"description": "x"}]},
            "the field 'name' is missing in tools[0].",
        ),
        (
            {"type": "error", "when": {"modell": ["x"]}},
            "Scorer 2 (error), field 'when': Object contains unknown field `modell`.",
        ),
        ({"type": "feedback"}, "scorers 1 and 2 are both named 'feedback'"),
        (
            {"type": "judge", "rubric": "r", "sample": 2},
            "Scorer 2 (judge), field 'sample': expected",
        ),
        (
            {"type": "python", "function": "my scorers"},
            "field 'function': expected package.module:function, or the name of an entry point.",
        ),
    ],
)
def test_a_wrong_scorer_is_explained(
    cli: Run, tmp_path: Path, scorer: dict[str, Any], said: str
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"scoring": {"scorers": [{"type": "feedback"}, scorer]}}))
    result = cli("policy", "set", "rag", "--file", str(file))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split()), result.stderr


def test_what_is_wrong_elsewhere_says_where(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"dedup": {"distance": 7}}')
    result = cli("policy", "set", "rag", "--file", str(file))
    assert "At $.dedup.distance: expected a number <= 2" in result.stderr


def test_changing_one_field_keeps_the_rest_of_a_scorer(
    cli: Run, cli_json: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    scorer = {"type": "latency", "above_ms": 1, "version": "3", "when": {"model": ["a*"]}}
    file.write_text(json.dumps({"scoring": {"scorers": [scorer]}}))
    shown = cli("policy", "set", "rag", "--file", str(file)).stdout
    assert '+ scorer latency above_ms=1 severity=medium when={"model":["a*"]} version=3' in shown
    cli("policy", "set", "rag", "--latency-ms", "5")
    (kept,) = cli_json("policy", "show", "rag")["policy"]["scoring"]["scorers"]
    assert (kept["above_ms"], kept["version"], kept["when"]) == (5, "3", {"model": ["a*"]})
