"""`policy test`: what the scorers would say of a file, before anything is changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path, trace_line: Callable[..., bytes]) -> str:
    """Two failing traces, one that passes, one of an experiment, and a line that is none."""
    good = msgspec.json.encode({"trace_id": "good", "project": "x", "input": "q", "output": "a"})
    slow = {"trace_id": "slow", "project": "x", "latency_ms": 60_000, "output": "lorem ipsum"}
    eval_ = {"trace_id": "e", "project": "x", "environment": "eval", "latency_ms": 60_000}
    lines = [trace_line("t1"), good, msgspec.json.encode(slow), msgspec.json.encode(eval_), b"{"]
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(line.strip() for line in lines))
    return str(path)


def test_it_names_the_traces_that_would_fail_their_scorers_and_why(cli: Run, file: str) -> None:
    result = cli("policy", "test", "shop", file)
    assert result.exit_code == 0, result.output
    assert "2 of 3 traces would fail (1 high, 1 medium, 1 model, 1 unknown)" in result.stdout
    assert "score:task_resolved/1" in result.stdout
    assert "The answer took 60000 ms, above the bound of 30000 ms." in result.stdout
    assert "1 are experiment traffic" in result.stderr
    assert "traces.jsonl:5: not a trace in JSON" in result.stderr


def test_another_policy_can_be_tried_before_it_is_set(
    cli: Run, cli_json: RunJson, file: str, tmp_path: Path
) -> None:
    proposed = tmp_path / "proposed.toml"
    proposed.write_text(
        '[[scoring.scorers]]\ntype = "regex"\nname = "no_lorem"\npattern = "lorem"\nversion = "3"\n'
    )
    told = cli_json("policy", "test", "shop", file, "--file", str(proposed))
    assert told["scorers"] == ["no_lorem/3"]
    (one,) = told["traces"]
    assert (one["trace_id"], one["fault"]) == ("slow", "model")
    assert one["signals"][0]["scorer"] == "no_lorem/3"
    assert (told["tested"], told["failing"], told["experiments"]) == (3, 1, 1)
    assert cli_json("policy", "show", "shop")["version"] == 0, "nothing was changed"


def test_what_cannot_be_asked_is_said_and_can_be_left_out(
    cli: Run, cli_json: RunJson, file: str, tmp_path: Path
) -> None:
    proposed = tmp_path / "proposed.json"
    scorers = [{"type": "judge", "rubric": "r", "sample": 1}, {"type": "error"}]
    proposed.write_text(json.dumps({"scoring": {"scorers": scorers}}))
    result = cli("policy", "test", "shop", file, "--file", str(proposed))
    assert "0 of 3 traces would fail" in result.stdout
    assert "3 times a scorer could not say anything" in result.stderr
    assert "set EVALRATCHET_JUDGE_URL" in result.stderr
    told = cli_json("policy", "test", "shop", file, "--file", str(proposed), "--local-only")
    assert told["scorers"] == ["error/1"]


def test_a_scorer_in_python_is_run(
    cli_json: RunJson, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_scorers.py").write_text(
        "def short(trace):\n    return len(trace['output']) < 5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    proposed = tmp_path / "proposed.json"
    scorers = [{"type": "python", "function": "my_scorers:short", "name": "short"}]
    proposed.write_text(json.dumps({"scoring": {"scorers": scorers}}))
    told = cli_json("policy", "test", "shop", file, "--file", str(proposed))
    assert {one["trace_id"] for one in told["traces"]} == {"t1", "slow"}


def test_otlp_is_tested_as_the_project_that_is_asked_about(
    cli_json: RunJson, sample_data: Path
) -> None:
    file = sample_data / "otlp" / "langfuse_pydantic-ai-tools-2025-12-04.otlp.json"
    told = cli_json("policy", "test", "shop", str(file))
    assert told["tested"] >= 1
    assert told["refused"] == []


def test_a_file_that_is_not_there_is_wrong_use(cli: Run) -> None:
    result = cli("policy", "test", "shop", "missing.jsonl")
    assert result.exit_code == 2
    assert "missing.jsonl cannot be read" in result.stderr


def test_scorers_see_what_they_would_see_in_capture_and_nothing_personal(
    cli_json: RunJson, tmp_path: Path
) -> None:
    """A judge is somebody else's server, and its answers are kept."""
    traces = tmp_path / "mail.jsonl"
    said = {"trace_id": "m", "project": "x", "output": "I wrote to ann@corp-mail.com"}
    canary = {"trace_id": "c", "project": "x", "environment": "canary", "output": "<EMAIL_1>"}
    traces.write_bytes(msgspec.json.encode(said) + b"\n" + msgspec.json.encode(canary))
    proposed = tmp_path / "proposed.json"
    scorers = [
        {"type": "regex", "name": "raw", "pattern": "ann@"},
        {"type": "regex", "name": "placeholder", "pattern": "<EMAIL_1>"},
    ]
    intake = {"environments": {"exclude": ["canary"]}}
    proposed.write_text(json.dumps({"scoring": {"scorers": scorers}, "intake": intake}))
    told = cli_json("policy", "test", "shop", str(traces), "--file", str(proposed))
    (one,) = told["traces"]
    assert [signal["scorer"] for signal in one["signals"]] == ["placeholder/1"]
    assert (told["tested"], told["other_environments"]) == (1, 1)
