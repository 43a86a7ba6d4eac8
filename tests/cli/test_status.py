import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from services.store.open import Store
from services.stream.outcome import Hold
from services.stream.port import Message, Record
from services.stream.topics import Topics

Run = Callable[..., Result]
RunJson = Callable[..., Any]


@pytest.mark.usefixtures("filled")
def test_the_counts_are_those_of_the_store(cli_json: RunJson) -> None:
    status = cli_json("status")
    counts = ("events_in", "traces", "traces_waiting", "failures", "patterns", "cases")
    assert [status[name] for name in counts] == [5, 5, 0, 4, 3, 3]
    assert status["cases_by_set"] == {"blocking": 0, "monitoring": 3, "backlog": 0}
    assert [stage["stage"] for stage in status["stages"]] == [
        "scorer",
        "deduper",
        "grader",
        "promoter",
    ]


@pytest.mark.usefixtures("filled")
def test_one_project_is_counted_alone(cli: Run, cli_json: RunJson) -> None:
    assert cli_json("status", "--project", "other")["traces"] == 1
    assert cli("status", "--project", "nobody").exit_code == 1


@pytest.mark.usefixtures("filled")
def test_what_no_stage_has_read_is_lag_with_its_age(
    cli: Run, cli_json: RunJson, publish: Callable[[Sequence[Message]], None]
) -> None:
    publish([Message("failures", b"key", b"{}"), Message("traces", b"key", b"{}")])
    status = cli_json("status")
    assert [stage["lag"] for stage in status["stages"]] == [1, 1, 0, 0]
    assert status["stages"][0]["oldest_waiting_at"] is not None
    assert status["events_in"] == 6
    assert " s  " in cli("status").stdout


@pytest.mark.usefixtures("filled")
def test_waiting_returns_at_once_when_all_is_done(cli: Run) -> None:
    assert cli("status", "--wait", "--timeout", "0").exit_code == 0


@pytest.mark.usefixtures("filled")
def test_waiting_in_vain_says_what_still_waits(
    cli: Run, publish: Callable[[Sequence[Message]], None]
) -> None:
    publish([Message("patterns", b"key", b"{}")])
    result = cli("status", "--wait", "--timeout", "0.3")
    assert result.exit_code == 1
    assert "1 failures to be graded (grade)" in result.stderr
    assert "to be archived" not in result.stderr
    assert "its log says why" in result.stderr
    assert "lag" in result.stdout


def test_without_any_data_status_says_how_to_start(cli: Run) -> None:
    result = cli("status")
    assert result.exit_code == 3
    assert "evalratchet up" in result.stderr


@pytest.mark.usefixtures("filled")
def test_what_is_held_for_a_project_is_shown_with_the_reason_and_waited_for(
    cli: Run, cli_json: RunJson, home: Path
) -> None:
    async def hold() -> None:
        store = Store(f"sqlite:///{home / 'store.db'}")
        record = Record("failures", 0, 9, b"key", b"{}", (), 1)
        why = Hold("airline", "its encoder is gone. Switch it.")
        group = Topics().group("deduper")
        await store.held.hold(group, [(record, why)], now_ms=1_767_312_000_000, due_ms=0)
        await store.close()

    assert cli_json("status")["held"] == []
    asyncio.run(hold())
    (held,) = cli_json("status")["held"]
    assert (held["stage"], held["project"], held["records"]) == ("deduper", "airline", 1)
    assert "1 of airline wait in deduper since 2026-01-02" in cli("status").stdout
    assert "Switch it." in " ".join(cli("status").stdout.split())
    result = cli("status", "--wait", "--timeout", "0.3")
    assert result.exit_code == 1
    assert "1 failures to be grouped" in result.stderr
