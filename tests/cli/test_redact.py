"""`redact`, and the options of `policy set` that say what is redacted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty data folder."""
    monkeypatch.setenv("EVALRATCHET_HOME", str(tmp_path / "home"))
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Two native traces, one with something in it, and one OTLP request."""
    native = [
        {"trace_id": "t1", "project": "shop", "input": "mail bob@example.com", "output": "ok"},
        {
            "trace_id": "t2",
            "project": "shop",
            "input": "hello",
            "metadata": {"a/b": ["x 203.0.113.7"]},
        },
    ]
    span = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "name": "chat",
        "attributes": [{"key": "input.value", "value": {"stringValue": "card 4111111111111111"}}],
    }
    otlp = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    path = tmp_path / "traces.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in [*native, otlp]))
    return path


def _json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_dry_run_says_what_where_and_what_takes_its_place(
    run: Callable[..., Result], traces: Path
) -> None:
    said = _json(run("redact", "--dry-run", str(traces), "--project", "shop", "--json"))
    assert said["counts"] == {"card": 1, "email": 1, "ip": 1}
    places = {(f["trace"], f["kind"], f["pointer"]) for f in said["findings"]}
    assert places == {
        ("t1", "email", "/input"),
        ("t2", "ip", "/metadata/a~1b/0"),
        ("a" * 32, "card", "/spans/0/attributes/input.value"),
    }
    assert all(f["after"].startswith(f"<{f['kind'].upper()}_") for f in said["findings"])


def test_what_was_found_is_never_shown_whole(run: Callable[..., Result], traces: Path) -> None:
    for more in ((), ("--json",)):
        shown = run("redact", "--dry-run", str(traces), "--project", "shop", *more).output
        assert "bob@example.com" not in shown
        assert "4111111111111111" not in shown
        assert "bo… (15 characters)" in shown


def test_the_output_is_the_file_without_it(
    run: Callable[..., Result], traces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "clean.jsonl"
    result = run("redact", str(traces), "--project", "shop", "--output", str(out))
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0]["input"].startswith("mail <EMAIL_")
    assert [line["trace_id"] for line in lines] == ["t1", "t2", "a" * 32]
    assert "example.com" not in out.read_text()


def test_neither_dry_run_nor_output_is_wrong_use(run: Callable[..., Result], traces: Path) -> None:
    result = run("redact", str(traces))
    assert result.exit_code == 2


def test_what_is_no_trace_is_said_and_the_rest_is_done(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"trace_id":"t","project":"p","input":"a@b.example.com"}\n{"project":"p"}\n')
    result = run("redact", "--dry-run", str(path))
    assert result.exit_code == 1
    assert "1 email" in result.output


def test_a_policy_s_redaction_is_set_shown_and_used(
    run: Callable[..., Result], traces: Path
) -> None:
    result = run(
        "policy", "set", "shop", "--no-redact", "ip", "--redact-pattern", r"greeting=h\w+o",
        "--redact-path", "$.output", "--redact-allow", "bob@example.com", "--phone-region", "gb",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    shown = run("policy", "show", "shop").output
    assert "redaction all kinds but ip" in shown
    assert "redaction phone_regions=GB" in shown
    said = _json(run("redact", "--dry-run", str(traces), "--project", "shop", "--json"))
    assert said["counts"] == {"card": 1, "field": 1, "greeting": 1}
    assert (
        run("policy", "set", "shop", "--redact", "ip", "--redact-pattern", "greeting=").exit_code
        == 0
    )
    assert "redaction all kinds\n" in run("policy", "show", "shop").output
    assert run("policy", "set", "shop", "--no-redact", "all").exit_code == 0
    assert "redaction off" in run("policy", "show", "shop").output


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--redact-pattern", "customer=(", "customer"),
        ("--redact-pattern", "customer=x*", "fits the empty text"),
        ("--redact-pattern", "Customer=x", "lower-case"),
        ("--redact-pattern", "email=x", "built-in"),
        ("--redact-pattern", "nothing", "NAME=REGEX"),
        ("--redact-path", "$[", "JSON path"),
        ("--redact", "mail", "email"),
        ("--phone-region", "UK", "GB"),
        ("--redact-allow", "/(/", "allow"),
    ],
)
def test_what_cannot_be_redacted_says_what_to_change(
    run: Callable[..., Result], option: str, value: str, said: str
) -> None:
    result = run("policy", "set", "shop", option, value)
    assert result.exit_code == 2
    assert said in str(result.exception) + result.output + str(
        getattr(result.exception, "detail", "")
    )
