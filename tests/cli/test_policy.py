import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]


def _scorers(cli_json: RunJson, project: str = "rag") -> dict[str, dict[str, Any]]:
    shown = cli_json("policy", "show", project)
    scorers = shown["policy"]["scoring"]["scorers"]
    return {one.get("signal", one["type"]): one for one in scorers}


def test_a_policy_can_be_set_before_anything_ran(cli: Run, cli_json: RunJson) -> None:
    result = cli("policy", "set", "rag", "--score", "faithfulness=3", "--by", "ann")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "  + scorer score:faithfulness below=3 severity=high",
        (
            "Version 1 of rag's policy, by ann. It is in force within 2 seconds, for traces "
            "scored from then on."
        ),
    ]
    assert _scorers(cli_json)["faithfulness"]["below"] == 3


def test_a_named_scorer_is_replaced_and_the_others_stay(cli: Run, cli_json: RunJson) -> None:
    cli("policy", "set", "rag", "--score", "faithfulness=3", "--severity", "critical")
    before = _scorers(cli_json)
    result = cli("policy", "set", "rag", "--score", "faithfulness=2.5", "--latency-ms", "8000")
    assert result.exit_code == 0
    assert "- scorer latency above_ms=30000 severity=medium" in result.stdout
    assert "+ scorer latency above_ms=8000 severity=medium" in result.stdout
    after = _scorers(cli_json)
    assert after["faithfulness"] == {**before["faithfulness"], "below": 2.5}
    assert after["faithfulness"]["severity"] == "critical"
    assert set(after) == set(before)


def test_scorers_are_taken_out_by_name(cli: Run, cli_json: RunJson) -> None:
    cli("policy", "set", "rag", "--score", "faithfulness=3")
    assert cli("policy", "set", "rag", "--without", "score:faithfulness").exit_code == 0
    assert cli("policy", "set", "rag", "--without", "latency").exit_code == 0
    assert set(_scorers(cli_json)) == {"error", "feedback", "task_resolved"}
    wrong = cli("policy", "set", "rag", "--without", "score:faithfulnes")
    assert wrong.exit_code == 2
    assert "score:task_resolved" in wrong.stderr


def test_the_history_says_who_when_why_before_and_after(cli: Run, cli_json: RunJson) -> None:
    cli("policy", "set", "rag", "--distance", "0.25", "--reason", "measured", "--by", "ann")
    cli("policy", "set", "rag", "--reset", "--by", "bob")
    first, second = cli_json("policy", "history", "rag")
    assert (first["version"], first["changed_by"], first["reason"]) == (1, "ann", "measured")
    assert first["after"]["dedup"]["distance"] == 0.25
    assert second["before"] == first["after"]
    assert second["after"] == first["before"]
    told = cli("policy", "history", "rag").stdout
    assert "by ann" in told
    assert "measured" in told
    assert "+ dedup distance=0.25" in told


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_a_whole_policy_comes_from_a_file(
    cli: Run, cli_json: RunJson, tmp_path: Path, suffix: str
) -> None:
    texts = {
        "json": '{"dedup": {"distance": 0.2}, "scoring": {"scorers": [{"type": "error"}]}}',
        "toml": '[dedup]\ndistance = 0.2\n[[scoring.scorers]]\ntype = "error"\n',
    }
    file = tmp_path / f"policy.{suffix}"
    file.write_text(texts[suffix])
    assert cli("policy", "set", "rag", "--file", str(file)).exit_code == 0
    assert set(_scorers(cli_json)) == {"error"}


def test_what_show_prints_can_be_set_again(cli: Run, tmp_path: Path) -> None:
    cli("policy", "set", "rag", "--score", "faithfulness=3")
    file = tmp_path / "policy.json"
    file.write_text(cli("policy", "show", "rag", "--json").stdout)
    again = cli("policy", "set", "rag", "--file", str(file))
    assert again.exit_code == 0
    assert again.stdout == "Nothing is different: rag stays at version 1.\n"


def test_a_dry_run_shows_the_difference_and_changes_nothing(cli: Run, cli_json: RunJson) -> None:
    result = cli("policy", "set", "rag", "--distance", "0.1", "--dry-run")
    assert "+ dedup distance=0.1" in result.stdout
    assert cli_json("policy", "show", "rag")["version"] == 0


def test_an_output_schema_is_read_from_its_file(
    cli: Run, cli_json: RunJson, tmp_path: Path
) -> None:
    schema = {"type": "object", "required": ["answer"]}
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema))
    assert cli("policy", "set", "rag", "--json-schema", str(file)).exit_code == 0
    assert _scorers(cli_json)["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Nothing was said to be changed"),
        (("--score", "faithfulness"), "not NAME=BOUND"),
        (("--score", "=3"), "not NAME=BOUND"),
        (("--score", "faithfulness=low"), "not NAME=BOUND"),
        (("--score", "faithfulness=nan"), "not NAME=BOUND"),
        (("--distance", "7"), "--distance 7 is not a distance"),
        (("--latency-ms", "-5"), "--latency-ms -5 is not a bound"),
        (("--latency-ms", "nan"), "--latency-ms nan is not a bound"),
        (("--feedback-below", "inf"), "--feedback-below inf is not a bound"),
        (("--distance", "nan"), "a number from 0"),
        (("--score", "=".join(["x" * 200, "1"])), "200 characters"),
        (("--severity", "high"), "no scorer is named"),
        (("--severity", "awful", "--score", "a=1"), "awful"),
        (("--file", "missing.json"), "cannot be read"),
        (("--file", "bad.json"), "unknown field `dedupe`"),
        (("--file", "broken.toml"), "is not a policy"),
        (("--json-schema", "bad.json", "--reset"), "not a JSON Schema"),
        (("--file", "bad.json", "--reset"), "both replace"),
    ],
)
def test_what_makes_no_policy_is_wrong_use_and_changes_nothing(
    cli: Run, cli_json: RunJson, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "bad.json").write_text('{"dedupe": {}, "type": "nonsense"}')
    (tmp_path / "broken.toml").write_text("[dedup")
    result = cli("policy", "set", "rag", *arguments)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())
    assert not result.stdout
    if (tmp_path / "home" / "store.db").is_file():
        assert cli_json("policy", "show", "rag")["version"] == 0


def test_a_project_with_an_impossible_name_is_wrong_use(cli: Run) -> None:
    result = cli("policy", "set", "no such/name", "--reset")
    assert result.exit_code == 2
    assert "cannot be the name of a project" in result.stderr
    assert "1 to 64 letters" in result.stderr
    assert "[A-Z" not in result.stderr
