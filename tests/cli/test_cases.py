from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]


@pytest.mark.usefixtures("filled")
def test_the_list_has_one_case_for_every_pattern(cli_json: RunJson) -> None:
    cases = cli_json("cases", "list")
    assert sorted((one["case"]["project"], one["occurrences"]) for one in cases) == [
        ("other", 1),
        ("shop", 1),
        ("shop", 2),
    ]


@pytest.mark.usefixtures("filled")
def test_the_list_is_filtered_by_project_set_and_limit(cli_json: RunJson) -> None:
    assert len(cli_json("cases", "list", "--project", "shop")) == 2
    assert len(cli_json("cases", "list", "--set", "monitoring")) == 3
    assert cli_json("cases", "list", "--set", "blocking") == []
    assert len(cli_json("cases", "list", "--limit", "1")) == 1


@pytest.mark.usefixtures("filled")
def test_the_table_shows_every_case_whole_when_it_is_piped(cli: Run) -> None:
    result = cli("cases", "list")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split()[:3] == ["case", "set", "severity"]
    assert len(rows) == 3
    assert all(len(row.split()[0]) == 16 for row in rows)


@pytest.mark.usefixtures("filled")
def test_the_table_says_when_there_is_more(cli: Run) -> None:
    result = cli("cases", "list", "--limit", "2")
    assert "The 2 heaviest are shown" in result.stderr
    assert len(result.stdout.splitlines()) == 3


@pytest.mark.usefixtures("filled")
def test_a_mistyped_project_is_answered_with_those_there_are(cli: Run) -> None:
    result = cli("cases", "list", "--project", "shpo")
    assert result.exit_code == 1
    assert "Did you mean shop?" in result.stderr
    assert not result.stdout


@pytest.mark.usefixtures("filled")
def test_a_case_is_shown_by_the_beginning_of_its_id(cli: Run, cli_json: RunJson) -> None:
    case = next(
        one["case"] for one in cli_json("cases", "list") if one["case"]["provenance"]["model"]
    )
    result = cli("cases", "show", case["case_id"][:8])
    assert result.exit_code == 0
    for shown in (
        "parcel 17 did not come",
        "I cannot help with that.",
        "task_resolved is 0, below the bound of 1",
        "t1",
        "gpt-4o",
        "r7",
        "severity 0.",
        "nobody said yet",
        "2 times",
    ):
        assert shown in result.stdout


@pytest.mark.usefixtures("filled")
def test_a_case_in_json_has_all_its_fields(cli_json: RunJson) -> None:
    one = cli_json("cases", "list", "--limit", "1")[0]
    shown = cli_json("cases", "show", one["case"]["case_id"])
    assert shown == one
    assert shown["case"]["expected"] is None
    assert {"trace_id", "event_id", "pattern_id", "scorers"} <= set(shown["case"]["provenance"])


@pytest.mark.usefixtures("crowded")
def test_an_id_that_fits_nothing_or_several_is_answered(cli: Run, cli_json: RunJson) -> None:
    nothing = cli("cases", "show", "zzz")
    assert nothing.exit_code == 1
    assert "no case whose id starts with 'zzz'" in nothing.stderr
    first = Counter(one["case"]["case_id"][0] for one in cli_json("cases", "list"))
    (digit, count), *_ = first.most_common(1)
    several = cli("cases", "show", digit)
    assert several.exit_code == 2
    assert f"{count} cases" in several.stderr


def test_without_any_data_one_is_told_how_to_start(cli: Run) -> None:
    result = cli("cases", "list")
    assert result.exit_code == 3
    assert "evalratchet up" in result.stderr
    assert not result.stdout


def test_what_users_wrote_cannot_steer_the_terminal(filled: Path, cli: Run) -> None:
    """Neither escape sequences nor rich's own markup get through; the text itself does."""
    listed = cli("patterns", "members", "shop")
    shown = cli("cases", "list")
    for result in (listed, shown):
        assert "\x1b" not in result.stdout
