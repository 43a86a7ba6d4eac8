"""`dedup space` and `dedup reembed`, on a project that an encoder of the tests has served so far."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]

HASHING = "hashing@1/ngrams-256"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings ask for the hashing encoder."""
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_MODEL", "hashing")


@pytest.mark.usefixtures("filled")
def test_space_says_what_serves_and_what_the_settings_would_serve(
    cli: Run, cli_json: RunJson
) -> None:
    shop = {row["project"]: row for row in cli_json("dedup", "space")}["shop"]
    assert shop["serves"]["space"].startswith("axes@1/axes-64/text-")
    assert shop["serves"]["reason"] == "the project's first failure"
    assert shop["configured"].startswith(f"{HASHING}/text-")
    assert (shop["texts"], shop["prepared"]) == (3, 0)
    result = cli("dedup", "space")
    assert "evalratchet dedup reembed --project shop --switch" in result.stderr
    assert HASHING in result.stdout


@pytest.mark.usefixtures("filled")
def test_a_model_that_is_not_there_is_said_so_and_the_rest_is_shown(
    cli: Run, cli_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_MODEL", "nobody/has-this")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (shop,) = cli_json("dedup", "space", "--project", "shop")
    assert shop["configured"] is None
    assert "EVALRATCHET_EMBEDDING_MODEL" in shop["problem"]
    result = cli("dedup", "space")
    assert result.exit_code == 0
    assert "cannot be named" in result.stderr


def test_before_the_first_failure_there_is_nothing_to_show_or_to_embed(
    cli: Run, cli_json: RunJson
) -> None:
    assert cli("db", "upgrade").exit_code == 0
    assert cli_json("dedup", "space") == []
    assert cli_json("dedup", "reembed") == []
    assert "Nothing to do" in cli("dedup", "reembed").stdout


@pytest.mark.usefixtures("filled")
def test_a_dry_run_counts_and_keeps_nothing(cli: Run, cli_json: RunJson) -> None:
    (shop,) = cli_json("dedup", "reembed", "--project", "shop", "--dry-run")
    assert (shop["texts"], shop["already"], shop["prepared"]) == (3, 0, None)
    assert "(--dry-run)" in cli("dedup", "reembed", "--dry-run").stderr
    assert cli_json("dedup", "space", "--project", "shop")[0]["prepared"] == 0


@pytest.mark.usefixtures("filled")
def test_it_prepares_shows_and_switches_when_told(cli: Run, cli_json: RunJson) -> None:
    before = {row["pattern_id"]: row["occurrences"] for row in cli_json("patterns", "list")}
    shown = cli("dedup", "reembed", "--project", "shop")
    assert shown.exit_code == 0, shown.output
    assert "would merge into another" in shown.stdout
    assert "would lose some members" in shown.stdout
    assert "--switch" in shown.stderr
    (space,) = cli_json("dedup", "space", "--project", "shop")
    assert space["serves"]["space"].startswith("axes@1/")
    assert space["prepared"] == 3
    (done,) = cli_json(
        "dedup", "reembed", "--project", "shop", "--switch", "--by", "ann", "--reason", "no weights"
    )
    assert done["switched"] is True
    assert done["prepared"]["embedded"] == 0
    (space,) = cli_json("dedup", "space", "--project", "shop")
    assert space["serves"]["space"] == space["configured"]
    assert (space["serves"]["by"], space["serves"]["reason"]) == ("ann", "no weights")
    assert [one["space"].split("/text-")[0] for one in space["before"]] == ["axes@1/axes-64"]
    after = {row["pattern_id"]: row["occurrences"] for row in cli_json("patterns", "list")}
    assert after == before
    again = cli("dedup", "reembed", "--project", "shop")
    assert again.exit_code == 0
    assert "Nothing to do" in again.stdout


@pytest.mark.usefixtures("filled")
def test_without_a_project_all_of_them_are_taken(cli_json: RunJson) -> None:
    done = cli_json("dedup", "reembed", "--switch")
    assert [one["project"] for one in done] == ["other", "shop"]
    assert all(one["switched"] for one in done)


@pytest.mark.usefixtures("filled")
def test_another_text_policy_is_a_space_too_and_one_can_go_back(
    cli: Run, cli_json: RunJson, tmp_path: Path
) -> None:
    assert cli("dedup", "reembed", "--project", "shop", "--switch").exit_code == 0
    (first,) = cli_json("dedup", "space", "--project", "shop")
    policy = cli_json("policy", "show", "shop")["policy"]
    policy["dedup"]["text"] = {"parts": [{"part": "turns", "chars": 100}]}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    assert cli("policy", "set", "shop", "--file", str(file)).exit_code == 0
    (space,) = cli_json("dedup", "space", "--project", "shop")
    assert space["serves"] == first["serves"], "a policy alone changes nothing"
    assert space["configured"] != first["configured"]
    (done,) = cli_json("dedup", "reembed", "--project", "shop", "--switch")
    assert done["prepared"]["from_archive"] == 3
    (back,) = cli_json("dedup", "reembed", "--project", "shop", "--back")
    assert back["target"] == first["serves"]["space"]
    (space,) = cli_json("dedup", "space", "--project", "shop")
    assert space["serves"]["space"] == first["serves"]["space"]
    assert space["serves"]["reason"] == "back"


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--project", "shopp"), 1, "Did you mean shop?"),
        (("--back",), 2, "Say which project goes back."),
        (("--dry-run", "--switch"), 2, "contradict"),
        (("--switch", "--back", "--project", "shop"), 2, "contradict"),
        (("--project", "shop", "--back"), 1, "was never served by another space"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    cli: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = cli("dedup", "reembed", *arguments)
    assert result.exit_code == code, result.output
    assert said in result.stderr


@pytest.mark.usefixtures("filled")
def test_a_former_encoder_that_this_version_does_not_have_cannot_be_gone_back_to(cli: Run) -> None:
    assert cli("dedup", "reembed", "--project", "shop", "--switch").exit_code == 0
    result = cli("dedup", "reembed", "--project", "shop", "--back")
    assert result.exit_code == 1
    assert "axes@1/axes-64" in result.stderr


@pytest.mark.usefixtures("filled")
def test_an_encoder_that_cannot_be_loaded_is_said_with_what_to_do(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_MODEL", "all-MiniLM-L6-v2")
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_BACKEND", "onnx")
    result = cli("dedup", "reembed", "--project", "shop")
    assert result.exit_code == 1
    assert "evalratchet models compile" in result.stderr


@pytest.mark.usefixtures("filled")
def test_on_a_narrow_terminal_a_space_is_shown_whole_below_its_project(
    cli: Run, wide: Callable[[int], None]
) -> None:
    wide(80)
    shown = cli("dedup", "space", "--project", "shop").stdout.splitlines()
    assert shown[0] == "project     shop"
    assert shown[1].startswith("serves      axes@1/axes-64/text-")
    assert shown[-1].startswith(f"configured  {HASHING}/text-")
    wide(200)
    assert len(cli("dedup", "space", "--project", "shop").stdout.splitlines()) == 2
