"""`patterns merge`, `split`, `undo` and `history`."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("filled")


@pytest.fixture
def shop(cli_json: RunJson) -> tuple[str, str]:
    """The pattern of two lost parcels, and that of the wrong invoice."""
    rows = cli_json("patterns", "list", "--project", "shop")
    return rows[0]["pattern_id"], rows[1]["pattern_id"]


def test_a_merge_is_said_with_its_undoing_and_the_old_id_goes_on_working(
    cli: Run, cli_json: RunJson, shop: tuple[str, str]
) -> None:
    parcel, invoice = shop
    done = cli("patterns", "merge", parcel[:8], invoice, "--reason", "one thing", "--by", "ada")
    assert done.exit_code == 0, done.output
    assert f"{invoice} is part of {parcel} now, which was seen 3 times." in done.stdout
    assert "evalratchet patterns undo" in done.stderr
    shown = cli("patterns", "show", invoice)
    assert f"{invoice} was merged: it is part of {parcel} now." in shown.stderr
    assert cli_json("patterns", "show", invoice)["occurrences"] == 3
    assert [one["pattern_id"] for one in cli_json("patterns", "list", "--project", "shop")] == [
        parcel
    ]
    members = cli("patterns", "members", "--pattern", invoice, "--format", "csv").stdout
    assert [line.split(",")[:2] for line in members.splitlines()[1:]] == [
        ["t1", parcel],
        ["t2", parcel],
        ["t3", parcel],
    ]


def test_a_superseded_case_says_why_it_does_not_count(
    cli: Run, cli_json: RunJson, shop: tuple[str, str]
) -> None:
    parcel, invoice = shop
    cases = {
        one["case"]["pattern_id"]: one["case"]["case_id"]
        for one in cli_json("cases", "list", "--project", "shop")
    }
    change = cli_json("patterns", "merge", parcel, invoice)
    (kept,) = cli_json("cases", "list", "--project", "shop")
    assert (kept["case"]["case_id"], kept["occurrences"]) == (cases[parcel], 3)
    other = cli("cases", "show", cases[invoice])
    assert f"not counted: pattern {parcel} has another case since change" in other.stdout
    assert cli_json("cases", "show", cases[invoice])["superseded_by"] == change["change_id"]
    assert len(cli_json("cases", "list")) == 2


def test_a_split_takes_the_named_traces_and_can_be_undone(
    cli: Run, cli_json: RunJson, shop: tuple[str, str]
) -> None:
    parcel, _ = shop
    change = cli_json("patterns", "split", parcel, "--trace", "t2", "--reason", "lost, not late")
    assert change["detail"]["count"] == 1
    members = cli("patterns", "members", "shop", "--format", "csv").stdout.splitlines()[1:]
    found = dict(line.split(",")[:2] for line in members)
    assert found["t1"] == parcel
    assert found["t2"] == change["detail"]["to"]
    undone = cli("patterns", "undo", change["change_id"][:9], "--by", "bob")
    assert undone.exit_code == 0, undone.output
    assert f"The split {change['change_id']} of " in undone.stdout
    assert cli_json("patterns", "show", change["detail"]["to"])["pattern_id"] == parcel
    again = cli("patterns", "undo", change["change_id"])
    assert again.exit_code == 1
    assert "was undone before" in again.stderr


def test_a_split_says_what_went_and_what_stayed(cli: Run, shop: tuple[str, str]) -> None:
    done = cli("patterns", "split", shop[0], "--trace", "t1")
    assert "1 failure is pattern " in done.stdout
    assert f" now; 1 stay {shop[0]}." in done.stdout


def test_the_history_names_who_what_and_why(
    cli: Run, cli_json: RunJson, shop: tuple[str, str]
) -> None:
    assert "No pattern was merged, split or named yet" in cli("patterns", "history").stderr
    parcel, invoice = shop
    merged = cli_json("patterns", "merge", parcel, invoice, "--reason", "same", "--by", "ada")
    cli("patterns", "undo", merged["change_id"], "--by", "bob")
    table = cli("patterns", "history", "--project", "shop").stdout
    assert f"merge {invoice} into {parcel}" in table
    assert f"undo of merge {merged['change_id']}" in table
    last, before = cli_json("patterns", "history")
    assert (last["kind"], last["by"], before["by"]) == ("undo", "bob", "ada")
    assert before["undone_by"] == last["change_id"]
    assert cli_json("patterns", "history", "--project", "other") == []


def test_what_cannot_be_is_said_in_a_sentence(
    cli: Run, cli_json: RunJson, shop: tuple[str, str]
) -> None:
    parcel, invoice = shop
    voucher = cli_json("patterns", "list", "--project", "other")[0]["pattern_id"]
    for arguments, code, said in (
        (("merge", parcel, parcel), 1, "These are one pattern already"),
        (("merge", parcel, voucher), 1, f"no pattern whose id starts with '{voucher}'"),
        (("merge", parcel), 2, "Missing argument"),
        (("split", parcel), 2, "--trace"),
        (("split", invoice, "--trace", "t3"), 1, "Nothing would be left"),
        (("split", parcel, "--trace", "t9"), 1, "no failure of a trace whose id starts with 't9'"),
        (("split", parcel, "--trace", "t"), 2, "2 traces of pattern"),
        (("undo", "nothing"), 1, "no change whose id starts with 'nothing'"),
        (("undo", " "), 2, "Say which change"),
        (("history", "--project", "shp"), 1, "Did you mean shop?"),
    ):
        result = cli("patterns", *arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert said in result.stderr.replace("\n", " "), arguments
        assert "Traceback" not in result.stderr


def test_a_name_is_shown_wherever_the_pattern_is_listed(
    cli: Run, cli_json: RunJson, shop: tuple[str, str]
) -> None:
    parcel, _ = shop
    done = cli("patterns", "name", parcel[:8], "lost  parcels", "--by", "ada", "--reason", "triage")
    assert done.exit_code == 0, done.output
    assert f"{parcel} is called 'lost parcels' now." in done.stdout
    assert "evalratchet patterns undo" in done.stderr
    assert "lost parcels: parcel 17" in cli("patterns", "list").stdout
    shown = cli("patterns", "show", parcel).stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in shown if line.startswith("name")] == [
        "lost parcels"
    ]
    assert cli_json("patterns", "list")[0]["name"] == "lost parcels"
    explained = cli("dedup", "explain", "t1", "--project", "shop").stdout
    assert "lost parcels" in explained
    renamed = cli("patterns", "name", parcel, "late parcels")
    assert "is called 'late parcels' now, and no longer 'lost parcels'." in renamed.stdout
    listed = cli("patterns", "history").stdout
    assert f"{parcel} called 'lost parcels'" in listed
    assert "triage" in listed
    change = cli_json("patterns", "name", parcel, "--clear")
    assert change["detail"] == {"pattern": parcel, "name": None, "before": "late parcels"}
    assert "taken away" in cli("patterns", "history").stdout
    undone = cli("patterns", "undo", change["change_id"])
    assert undone.exit_code == 0, undone.output
    assert cli_json("patterns", "show", parcel)["name"] == "late parcels"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--clear"),
        (("lost", "--clear"), 2, "--clear"),
        (("--clear",), 1, "has no name already"),
        (("x" * 121,), 1, "at most 120 characters"),
        (("  ",), 1, "at least one letter"),
    ],
)
def test_what_is_no_name_is_said(
    cli: Run, shop: tuple[str, str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = cli("patterns", "name", shop[0], *arguments)
    assert done.exit_code == code
    assert said in done.stderr
