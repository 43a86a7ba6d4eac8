import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
RunJson = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("filled")


def test_the_most_frequent_pattern_comes_first(cli_json: RunJson) -> None:
    patterns = cli_json("patterns", "list")
    assert [one["occurrences"] for one in patterns] == [2, 1, 1]
    assert "parcel" in patterns[0]["text"]


def test_a_pattern_is_shown_with_its_members(cli: Run, cli_json: RunJson) -> None:
    first = cli_json("patterns", "list", "--project", "shop")[0]
    shown = cli("patterns", "show", first["pattern_id"][:10])
    assert shown.exit_code == 0
    assert "2 times" in shown.stdout
    assert "t1" in shown.stdout
    assert "t2" in shown.stdout
    members = cli_json("patterns", "show", first["pattern_id"])["members"]
    assert [one["trace_id"] for one in members] == ["t1", "t2"]


def test_members_as_csv_are_every_failure_with_pattern_and_distance(cli: Run) -> None:
    result = cli("patterns", "members", "shop", "--format", "csv")
    assert result.exit_code == 0
    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header[:3] == ["trace_id", "pattern_id", "distance"]
    assert [row[0] for row in rows] == ["t1", "t2", "t3"]
    assert rows[0][1] == rows[1][1] != rows[2][1]
    assert float(rows[0][2]) == 0


def test_the_project_is_an_argument_or_an_option_but_not_two(cli: Run, cli_json: RunJson) -> None:
    members = cli_json("cases", "list", "--project", "other")
    assert len(members) == 1
    option = cli("patterns", "members", "--project", "shop", "--format", "json")
    argument = cli("patterns", "members", "shop", "--format", "json")
    assert option.stdout == argument.stdout
    assert cli("patterns", "members", "shop", "--project", "other").exit_code == 2


def test_without_a_project_the_members_of_all_are_listed(cli: Run) -> None:
    result = cli("patterns", "members", "--format", "csv")
    assert len(result.stdout.splitlines()) == 5


def test_the_members_of_one_pattern_are_found_by_the_beginning_of_its_id(
    cli: Run, cli_json: RunJson
) -> None:
    first = cli_json("patterns", "list")[0]["pattern_id"]
    result = cli("patterns", "members", "--pattern", first[:9], "--format", "csv")
    assert [line.split(",")[0] for line in result.stdout.splitlines()[1:]] == ["t1", "t2"]
    assert cli("patterns", "members", "other", "--pattern", first).exit_code == 1


@pytest.mark.parametrize("command", [("list", "--project"), ("members",)])
def test_a_project_that_sent_nothing_is_an_answer(cli: Run, command: tuple[str, ...]) -> None:
    result = cli("patterns", *command, "nobody")
    assert result.exit_code == 1
    assert "There are: other, shop" in result.stderr


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [(60, "first, last, fault, project"), (80, "first, last"), (140, None)],
)
def test_a_narrow_terminal_shows_fewer_columns_but_what_the_patterns_are_about(
    cli: Run, wide: Callable[[int], None], columns: int, left_out: str | None
) -> None:
    wide(columns)
    shown = cli("patterns", "list").stdout.splitlines()
    assert all(len(line) <= columns for line in shown[:4])
    assert "parcel 17 did not come" in shown[1]
    assert ("first" in shown[0]) == (left_out is None)
    if left_out is not None:
        assert shown[-1] == f"(A wider terminal shows more: {left_out}.)"


def test_of_one_project_its_name_is_left_out_before_what_differs(
    cli: Run, wide: Callable[[int], None]
) -> None:
    wide(90)
    shown = cli("patterns", "list", "--project", "shop").stdout.splitlines()
    assert shown[-1] == "(A wider terminal shows more: first, project.)"
    assert "fault" in shown[0]
