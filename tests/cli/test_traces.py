import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from services.archive import ArchivedPiece, Settled, Verdict
from services.settings import load_settings
from services.store.open import open_store

Run = Callable[..., Result]
RunJson = Callable[..., Any]

SPAN = "00f067aa0ba902b7"
SPANS = (
    b'{"event_id":"e1","project":"shop","trace_id":"otel","spans":[{"span_id":"00f067aa0ba902b7",'
    b'"name":"chat","end_ns":5}]}'
)


def archive(piece: ArchivedPiece, verdict: Verdict | None = None) -> None:
    """Put a piece into the archive, settled with a verdict when one is given."""

    async def put() -> None:
        store = open_store(load_settings())
        try:
            await store.archive.add([piece], now_ms=1000, due_ms=1000, until_ms=1000)
            if verdict is not None:
                claim = await store.archive.claim_due(now_ms=1000, limit=10)
                await claim.settle([verdict] * len(claim.traces), Settled(1000, 1000))
        finally:
            await store.close()

    asyncio.run(put())


@pytest.mark.usefixtures("filled")
def test_a_failed_trace_says_why_and_until_when_it_is_kept(cli: Run, cli_json: RunJson) -> None:
    failed = cli_json("traces", "list", "--state", "failed", "--project", "shop")
    assert failed
    shown = cli("traces", "show", failed[0]["trace_id"])
    assert shown.exit_code == 0
    for text in (failed[0]["failing"][0], "kept until", "the whole trace", "policy"):
        assert text in shown.stdout
    whole = cli_json("traces", "show", failed[0]["trace_id"])
    assert whole["trace"]["trace_id"] == failed[0]["trace_id"]
    assert whole["pieces"][0]["body"]["trace"]["project"] == "shop"
    assert whole["kept_until"] > whole["last_at"]


@pytest.mark.usefixtures("filled")
def test_a_trace_is_found_by_a_span_in_it(cli: Run, cli_json: RunJson) -> None:
    archive(ArchivedPiece("shop", "otel", "e1", "spans/1", SPANS, (SPAN,)))
    assert cli_json("traces", "show", SPAN)["trace_id"] == "otel"
    shown = cli("traces", "show", "otel").stdout
    assert "waiting" in shown
    assert "1 spans: chat" in shown
    assert cli_json("status")["traces_incomplete"] == 1
    assert "1 whose root has not ended" in cli("status").stdout


@pytest.mark.usefixtures("filled")
def test_a_trace_that_was_left_out_says_why(cli: Run) -> None:
    piece = ArchivedPiece("shop", "odd", "e1", "spans/99", b"{}")
    archive(piece, Verdict(state="left_out", why="dead_letter"))
    shown = cli("traces", "show", "odd")
    assert "evalratchet dlq list" in shown.stdout
    assert "cannot be read by this version" in shown.stdout


@pytest.mark.usefixtures("filled")
def test_a_trace_that_is_not_there_is_said_so(cli: Run) -> None:
    result = cli("traces", "show", "nobody")
    assert result.exit_code == 1
    assert "EVALRATCHET_RETENTION_DAYS" in result.stderr
    assert cli("traces", "show", " ").exit_code == 2
    assert cli("traces", "list", "--project", "nobody").exit_code == 1
    assert "no such traces" in cli("traces", "list", "--state", "waiting").stderr


@pytest.mark.usefixtures("filled")
def test_one_id_in_two_projects_asks_which(cli: Run) -> None:
    for project in ("shop", "other"):
        archive(ArchivedPiece(project, "twin", "e1", "spans/1", SPANS))
    asked = cli("traces", "show", "twin")
    assert asked.exit_code == 1
    assert "--project" in asked.stderr
    assert cli("traces", "show", "twin", "--project", "other").exit_code == 0


@pytest.mark.usefixtures("filled")
def test_status_shows_the_size_of_the_archive(cli: Run, cli_json: RunJson) -> None:
    assert cli_json("status")["archive_bytes"] > 10_000
    assert "MB, of all projects" in cli("status").stdout
