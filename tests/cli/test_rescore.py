"""`rescore`: a changed policy and the traces that were there before it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from services.settings import load_settings
from services.store.open import open_store

Run = Callable[..., Result]
RunJson = Callable[..., Any]


@pytest.fixture
def stricter(filled: Path, cli: Run, tmp_path: Path) -> None:
    """A policy that none of the answers keeps."""
    file = tmp_path / "policy.json"
    scorers = [{"type": "regex", "name": "no_hi", "pattern": "hi"}, {"type": "error"}]
    file.write_text(json.dumps({"scoring": {"scorers": scorers}}))
    assert cli("policy", "set", "shop", "--file", str(file)).exit_code == 0


def due() -> list[str]:
    """The traces that are due now."""

    async def ask() -> list[str]:
        store = open_store(load_settings())
        try:
            claim = await store.archive.claim_due(now_ms=1 << 50, limit=100)
            found = [f"{one.project}/{one.trace_id}" for one in claim.traces]
            await claim.abandon()
        finally:
            await store.close()
        return sorted(found)

    return asyncio.run(ask())


def test_a_dry_run_shows_what_would_newly_fail_and_changes_nothing(
    stricter: None, cli: Run, cli_json: RunJson
) -> None:
    result = cli("rescore", "shop", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "1 of 4 archived traces would newly fail (1 medium, 1 model)." in result.stdout
    assert "no_hi/1" in result.stdout
    assert "t5" in result.stdout
    told = cli_json("rescore", "shop", "--dry-run")
    assert (told["examined"], told["newly_failing"]) == (4, 1)
    assert [one["trace_id"] for one in told["traces"]] == ["t5"]
    assert due() == []


def test_the_traces_of_the_project_become_due_again(stricter: None, cli: Run) -> None:
    result = cli("rescore", "shop")
    assert result.exit_code == 0, result.output
    assert "4 traces of shop are due" in result.stdout
    assert due() == ["shop/t1", "shop/t2", "shop/t3", "shop/t5"]


def test_one_trace_can_be_named(stricter: None, cli: Run, cli_json: RunJson) -> None:
    assert cli_json("rescore", "shop", "--trace", "t5") == {"project": "shop", "due": 1}
    assert due() == ["shop/t5"]
    missing = cli("rescore", "shop", "--trace", "t9")
    assert missing.exit_code == 1
    assert "'t9' of shop is not in the archive" in missing.stderr


def test_only_traces_since_a_time_are_taken(filled: Path, cli: Run, cli_json: RunJson) -> None:
    """The traces of this test came in January 1970."""
    assert cli_json("rescore", "shop", "--since", "24h") == {"project": "shop", "due": 0}
    for wrong in ("24", "h", "-1h", "1w", "1e3s"):
        result = cli("rescore", "shop", "--since", wrong)
        assert result.exit_code == 2, wrong
        assert "For example" in result.stderr or "for example" in result.stderr


def test_a_project_that_is_not_there_is_said(filled: Path, cli: Run) -> None:
    result = cli("rescore", "shopp")
    assert result.exit_code == 1
    assert "Did you mean shop?" in result.stderr


def test_status_and_patterns_tell_failures_by_fault(
    filled: Path, cli: Run, cli_json: RunJson
) -> None:
    assert cli_json("status")["failures_by_fault"] == {
        "model": 4,
        "infrastructure": 0,
        "input": 0,
        "unknown": 0,
    }
    assert "4 (4 model)" in cli("status").stdout
    assert {one["fault"] for one in cli_json("patterns", "list")} == {"model"}
    assert cli_json("patterns", "list", "--fault", "infrastructure") == []
    assert (
        "No pattern has fault infrastructure"
        in cli("patterns", "list", "--fault", "infrastructure").stderr
    )


def test_a_dry_run_leaves_out_the_environments_that_scoring_leaves_out(
    filled: Path, cli: Run, cli_json: RunJson, tmp_path: Path
) -> None:
    scorers = [{"type": "regex", "name": "no_hi", "pattern": "hi"}]
    policy = {"scoring": {"scorers": scorers}, "intake": {"environments": {"include": ["x"]}}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    assert cli("policy", "set", "shop", "--file", str(file)).exit_code == 0
    told = cli_json("rescore", "shop", "--dry-run")
    assert (told["examined"], told["newly_failing"]) == (0, 0)
