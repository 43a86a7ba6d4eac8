import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]

KEY = re.compile(r"er_[A-Za-z0-9]{12}_[A-Za-z0-9]{43}")


def test_a_key_can_be_made_before_anything_ran_and_is_all_of_standard_output(cli: Run) -> None:
    made = cli("keys", "create", "shop", "--scope", "ingest", "--name", "web")
    assert made.exit_code == 0, made.output
    assert KEY.fullmatch(made.stdout.strip())
    assert "shown this once" in made.stderr


def test_the_key_itself_is_kept_nowhere(cli: Run, home: Path) -> None:
    key = cli("keys", "create", "shop").stdout.strip()
    secret = key.rpartition("_")[2].encode()
    kept = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert key[:15].removeprefix("er_").encode() in kept
    assert secret not in kept


def test_the_list_shows_what_each_may_do_and_never_the_key(cli: Run, cli_json: RunJson) -> None:
    key = cli("keys", "create", "shop", "--name", "web", "--expires-days", "30").stdout.strip()
    cli("keys", "create", "--all-projects", "--scope", "admin", "--scope", "read", "--name", "ops")
    listed = cli("keys", "list").stdout
    assert key[:15] in listed
    assert key not in listed
    assert "active until" in listed
    first, second = cli_json("keys", "list")
    assert (first["project"], first["scopes"], first["name"]) == ("shop", ["ingest"], "web")
    assert (second["project"], second["scopes"]) == (None, ["admin", "read"])
    assert "key" not in first
    assert [one["project"] for one in cli_json("keys", "list", "--project", "shop")] == ["shop"]


@pytest.mark.parametrize("letters", [15, 99], ids=["what is shown", "the whole key"])
def test_a_revoked_key_is_listed_only_when_all_are_asked_for(
    cli: Run, cli_json: RunJson, letters: int
) -> None:
    key = cli("keys", "create", "shop").stdout.strip()
    revoked = cli("keys", "revoke", key[:letters])
    assert revoked.exit_code == 0, revoked.output
    assert key not in revoked.output
    assert cli_json("keys", "list") == []
    (one,) = cli_json("keys", "list", "--all")
    assert one["revoked_at"] is not None
    assert cli("keys", "revoke", key).exit_code == 0, "revoking twice is harmless"
    assert cli_json("keys", "list", "--all") == [one]


def test_what_cannot_be_made_or_found_is_said(cli: Run) -> None:
    for arguments, said in (
        (("create",), "which project"),
        (("create", "shop", "--all-projects"), "which project"),
        (("create", "../etc"), "no project name"),
        (("create", "shop", "--name", "n" * 201), "too long"),
    ):
        wrong = cli("keys", *arguments)
        assert wrong.exit_code == 2
        assert said in wrong.stderr
    assert cli("keys", "create", "shop", "--scope", "everything").exit_code == 2
    assert cli("keys", "create", "shop").exit_code == 0
    missing = cli("keys", "revoke", "er_nothing")
    assert missing.exit_code == 1
    assert "keys list" in missing.stderr


def test_without_keys_the_list_says_how_to_make_one(cli: Run) -> None:
    cli("policy", "set", "shop", "--distance", "0.2")
    empty = cli("keys", "list")
    assert empty.exit_code == 0
    assert "keys create" in empty.stderr


def test_listening_to_the_world_without_a_key_is_refused_with_the_command_that_makes_one(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_MODEL", "hashing")
    monkeypatch.setenv("EVALRATCHET_LISTEN", "0.0.0.0:0")
    refused = cli("up")
    assert refused.exit_code == 2, refused.output
    assert "EVALRATCHET_LISTEN=0.0.0.0:0" in refused.stderr
    assert "evalratchet keys create PROJECT --scope ingest" in refused.stderr
    assert "EVALRATCHET_AUTH=off" in refused.stderr
    monkeypatch.setenv("EVALRATCHET_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("EVALRATCHET_AUTH", "required")
    assert cli("up").exit_code == 2
