"""What every command has in common."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command
from typer.testing import Result

from services.cli.app import Service, app
from services.cli.output import one_line
from services.cli.typed import own_name
from services.wiring import SERVICES

Run = Callable[..., Result]
RunJson = Callable[..., Any]

_HEAVY = ("alembic", "httpx", "numpy", "pydantic", "sqlalchemy", "structlog", "uvicorn", "fastapi")


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(one, (*words, name))
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = dict(_commands(get_command(app)))


def test_every_command_of_the_issue_is_there() -> None:
    expected = (
        "up, serve, send, status, cases list, cases show, patterns list, patterns show, "
        "patterns merge, patterns split, patterns name, patterns undo, patterns history, "
        "patterns proposals, modes list, modes show, modes refit, "
        "patterns members, traces list, traces show, policy show, policy set, policy test, "
        "policy history, rescore, settings, "
        "dedup label, dedup calibrate, dedup grey list, dedup grey same, dedup grey different, "
        "dedup explain, dedup distance, dedup what-if, dedup coverage, dedup adaptive, dedup space, "
        "dedup reembed, "
        "keys create, keys list, keys revoke, redact, models compile, models list, "
        "db upgrade, db current, topics apply, dlq list, dlq show, dlq replay, version"
    )
    assert {" ".join(words) for words in COMMANDS} == set(expected.split(", "))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_says_what_it_does_and_shows_an_example(
    cli: Run, words: tuple[str, ...]
) -> None:
    result = cli(*words, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"evalratchet {' '.join(words)}" in result.stdout


def test_the_services_that_can_be_named_are_those_there_are() -> None:
    assert get_args(Service) == (*SERVICES, "sidecar")


def test_help_loads_nothing_that_another_command_needs() -> None:
    """`evalratchet --help` answers in a fraction of a second because of this."""
    code = "import sys, services.cli.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(_HEAVY) & set(loaded.stdout.split())


def test_the_module_runs_like_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "services.cli", "version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip()


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("serve", "nonsense"), ("cases", "show"), ("send",), ("send", ".")]
    + [(kind, "show", nothing) for kind in ("cases", "patterns") for nothing in ("", " ")],
)
def test_wrong_use_exits_with_2(cli: Run, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).exit_code == 2


def test_a_setting_that_cannot_be_used_is_named_with_its_value(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALRATCHET_SETTLE_SECONDS", "soon")
    result = cli("status")
    assert result.exit_code == 2
    assert "EVALRATCHET_SETTLE_SECONDS='soon'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("topics", "apply"), ("status",)])
def test_a_kafka_address_that_is_none_is_wrong_use(
    cli: Run, filled: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("EVALRATCHET_STREAM", "kafka://broker:notaport")
    result = cli(*command)
    assert result.exit_code == 2, result.output
    assert "notaport" in result.stderr


@pytest.mark.parametrize("command", [("db", "upgrade"), ("policy", "set", "p", "--reset")])
def test_a_data_folder_that_cannot_be_made_is_wrong_use(
    cli: Run, home: Path, command: tuple[str, ...]
) -> None:
    home.write_text("a file")
    result = cli(*command)
    assert result.exit_code == 2, result.output
    assert "cannot be made" in result.stderr


@pytest.mark.parametrize("name", ["store.db", "stream.db"])
def test_a_file_that_is_no_database_is_said_to_be_none(cli: Run, filled: Path, name: str) -> None:
    for file in filled.glob(f"{name}*"):
        file.unlink()
    (filled / name).write_bytes(b"this is no database" * 100)
    result = cli("status")
    assert result.exit_code in {1, 3}
    assert name in result.stderr
    assert "not a database" in result.stderr


def test_a_store_that_is_away_exits_with_3(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALRATCHET_STORE", "postgresql+asyncpg://ann:secret@127.0.0.1:9/x")
    result = cli("cases", "list")
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    assert "secret" not in result.output


def test_settings_say_where_each_comes_from_and_mask_secrets(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evalratchet.toml").write_text("settle_seconds = 2\nretention_days = 3\n")
    monkeypatch.setenv("EVALRATCHET_STORE", "postgresql+asyncpg://ann:secret@db/x")
    monkeypatch.setenv("EVALRATCHET_RETENTION_DAYS", "4")
    monkeypatch.setenv("EVALRATCHET_LISTN", "typo")
    result = cli("settings", "--json")
    shown = json.loads(result.stdout)
    assert shown["settings"]["store"] == "postgresql+asyncpg://ann:***@db/x"
    assert shown["settings"]["retention_days"] == 4
    assert shown["sources"]["store"] == "environment"
    assert shown["sources"]["retention_days"] == "environment"
    assert shown["sources"]["settle_seconds"] == "evalratchet.toml"
    assert shown["sources"]["listen"] == "default"
    assert shown["unknown_variables"] == ["EVALRATCHET_LISTN"]
    assert "EVALRATCHET_LISTN is not a setting" in result.stderr
    table = cli("settings")
    assert "secret" not in table.output
    assert "ann:***@db" in table.stdout


def test_the_store_is_migrated_and_says_so(cli: Run, cli_json: RunJson) -> None:
    missing = cli("db", "current")
    assert missing.exit_code == 1
    assert "evalratchet db upgrade" in missing.stderr
    assert cli("db", "upgrade").exit_code == 0
    assert cli("db", "upgrade").exit_code == 0
    assert cli_json("db", "current")["ready"] is True


def test_a_store_of_a_newer_version_is_left_alone(cli: Run, filled: Path) -> None:
    with closing(sqlite3.connect(filled / "store.db")) as store, store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (("db", "upgrade"), ("status",), ("cases", "list")):
        result = cli(*command)
        assert result.exit_code == 1
        assert "newer than this version" in result.stderr
        assert not result.stdout


def test_the_embedded_stream_needs_no_topics(cli: Run) -> None:
    result = cli("topics", "apply")
    assert result.exit_code == 0
    assert "Nothing is needed" in result.stdout


@pytest.mark.usefixtures("filled")
def test_output_that_is_cut_off_is_no_crash() -> None:
    """`| head` closes the pipe early."""
    command = f"{sys.executable} -m services.cli patterns members --format csv | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env=os.environ.copy(),
        check=False,
    )
    assert done.stdout.startswith("trace_id,pattern_id,distance")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "command", ["cases list", "patterns members --format csv", "version", "--help"]
)
def test_output_that_cannot_be_written_is_told_in_a_sentence(command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m services.cli {command} > /dev/full"],
        capture_output=True,
        text=True,
        env=os.environ.copy(),
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "evalratchet: The output could not be written.",
        "  No space left on device.",
    ]


def test_the_version_is_also_an_option(cli: Run) -> None:
    asked = cli("--version")
    assert asked.exit_code == 0
    assert asked.stdout == cli("version").stdout


def test_what_turns_the_direction_of_text_is_not_shown() -> None:
    assert one_line("abc\u202edcb\u2066") == "abc\ufffddcb\ufffd"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert one_line(family) == family


@pytest.mark.parametrize(
    ("argument", "path", "expected"),
    [
        ("tools/evalratchet", "", "tools/evalratchet"),
        ("./evalratchet", "", "./evalratchet"),
        ("tools/evalratchet", "tools", "evalratchet"),
        ("tools/other", "", "evalratchet"),
    ],
)
def test_hints_name_the_command_as_it_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, path: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / argument
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [argument])
    monkeypatch.setenv("PATH", str(tmp_path / path) if path else "")
    assert own_name() == expected
