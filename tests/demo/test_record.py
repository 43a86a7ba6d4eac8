"""What `record.py` writes: readable traces, the same every time, in many wordings."""

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from supportdesk.desk import DEFAULT_COUNT
from supportdesk.scenarios import QUESTIONS, SCENARIOS, Scenario

from capture.trace import Trace


def run(demo: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the script with -S, that is, with nothing but the standard library in reach."""
    command = [sys.executable, "-S", str(demo / "record.py"), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=30)


@pytest.fixture(scope="module")
def written(demo: Path) -> bytes:
    """The default recording, by the script itself."""
    done = run(demo)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_every_line_is_a_trace(written: bytes) -> None:
    traces = [msgspec.json.decode(line, type=Trace) for line in written.splitlines()]
    assert len(traces) == DEFAULT_COUNT
    assert len({trace.trace_id for trace in traces}) == len(traces)
    for trace in traces:
        assert trace.project == "demo"
        assert trace.environment == "production"
        assert trace.model == "demo-agent-1"
        assert trace.input
        assert trace.output
        assert trace.tokens_in
        assert trace.tokens_out
        assert trace.cost_usd
        assert trace.session_id


def test_no_field_is_one_the_format_does_not_know(written: bytes) -> None:
    known = set(Trace.__struct_fields__)
    assert all(set(json.loads(line)) <= known for line in written.splitlines())


def test_steps_come_in_order_of_time_and_add_up_to_the_latency(written: bytes) -> None:
    for line in written.splitlines():
        trace = msgspec.json.decode(line, type=Trace)
        times = [step.started_at for step in trace.steps if step.started_at]
        assert times == sorted(times)
        assert times[0] == trace.started_at
        assert sum(step.latency_ms or 0 for step in trace.steps) == trace.latency_ms


def test_every_tool_call_has_its_result(written: bytes) -> None:
    for line in written.splitlines():
        steps = msgspec.json.decode(line, type=Trace).steps
        calls = [(s.name, s.call_id) for s in steps if s.type == "tool_call"]
        assert calls == [(s.name, s.call_id) for s in steps if s.type == "tool_result"]
        assert len(set(calls)) == len(calls)


def test_the_same_seed_writes_the_same_bytes(demo: Path, written: bytes) -> None:
    assert run(demo).stdout == written
    other = run(demo, "--seed", "1").stdout
    assert len(other.splitlines()) == DEFAULT_COUNT
    assert not set(other.splitlines()) & set(written.splitlines())


def test_a_smaller_count_is_the_beginning_of_a_larger(demo: Path, written: bytes) -> None:
    assert written.startswith(run(demo, "--count", "10").stdout)


def test_a_larger_count_asks_again_about_something_else(demo: Path) -> None:
    lines = run(demo, "--count", str(2 * DEFAULT_COUNT)).stdout.splitlines()
    assert len({json.loads(line)["trace_id"] for line in lines}) == 2 * DEFAULT_COUNT


def test_groups_label_exactly_the_failed_traces(demo: Path, tmp_path: Path) -> None:
    traces, groups = tmp_path / "traces.jsonl", tmp_path / "groups.csv"
    done = run(demo, "--out", str(traces), "--groups", str(groups))
    assert done.returncode == 0, done.stderr.decode()
    decoded = [json.loads(line) for line in traces.read_bytes().splitlines()]
    failed = [
        trace["trace_id"]
        for trace in decoded
        if {"name": "task_resolved", "value": 0, "source": "outcome"} in trace["signals"]
    ]
    with groups.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trace_id"] for row in rows] == failed
    assert len({row["group"] for row in rows}) == 8
    assert done.stdout.decode().startswith(f"{DEFAULT_COUNT} traces in ")


def test_a_count_below_one_is_refused_with_what_to_change(demo: Path) -> None:
    done = run(demo, "--count", "0")
    assert done.returncode == 2
    assert b"--count must be at least 1, it is 0" in done.stderr


def test_a_missing_folder_is_named(demo: Path, tmp_path: Path) -> None:
    done = run(demo, "--out", str(tmp_path / "none" / "traces.jsonl"))
    assert done.returncode == 2
    assert b"does not exist; make it first" in done.stderr


def masked(wording: str) -> str:
    """A wording without what the fingerprint ignores: case, numbers, what it is about."""
    bare = re.sub(r"\{\w+\}|\d+", "#", wording.lower())
    return " ".join(re.findall(r"[a-z#']+", bare))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_is_asked_in_8_to_15_different_wordings(scenario: Scenario) -> None:
    """Different means that no two share most of their words: none is a template's twin."""
    wordings = [masked(w) for w in scenario.wordings()]
    assert 8 <= len(wordings) <= 15
    assert max(Counter(wordings).values()) == 1
    words = [set(w.split()) - {"#"} for w in wordings]
    for index, one in enumerate(words):
        for other in words[:index]:
            assert len(one & other) / len(one | other) < 0.6, (one, other)


def test_every_file_of_questions_is_asked() -> None:
    assert {path.stem for path in QUESTIONS.glob("*.txt")} == {s.questions for s in SCENARIOS}


def test_some_conversations_have_several_turns(written: bytes) -> None:
    turns = Counter(json.loads(line)["metadata"]["turns"] for line in written.splitlines())
    assert turns[1] > turns[2] >= 20
