"""`modes list`, `show` and `refit`, and `patterns proposals`."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from dedup.assign import Candidate, Decided
from dedup.centroid import Centroid
from dedup.events import Assignment
from dedup.geometry import Geometry
from dedup.policy import TextPolicy
from services.archive import ArchivedPiece
from services.pattern_store import Kept, Serving
from services.settings import load_settings
from services.store.open import open_store

Run = Callable[..., Result]
RunJson = Callable[..., Any]

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TOPICS = ("my refund has not come", "the password is refused")


@pytest.fixture
def two_ways(made_once: Callable[..., Path]) -> Path:
    """Sixty patterns that fail in two ways; two of them, p00 and p01, lie at one place."""
    return made_once("two_ways", lambda: asyncio.run(_fill()))


async def _fill() -> None:
    load_settings().home.mkdir(parents=True, exist_ok=True)
    store = open_store(load_settings())
    await store.upgrade()
    piece = ArchivedPiece("shop", "t", "e", "traces/1", b"{}")
    await store.archive.add([piece], now_ms=1, due_ms=1, until_ms=1)
    rng = np.random.default_rng(1)
    vectors = np.repeat(np.eye(16)[:2], 30, axis=0) + rng.standard_normal((60, 16)) * 0.15
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1] = vectors[0]
    decided, centroids = [], {}
    for number, vector in enumerate(vectors.astype(np.float32)):
        name = f"p{number:02}"
        text = f"{TOPICS[number // 30]} [bold]{name}[/bold]"
        one = Candidate("shop", f"e{name}", f"t{name}", NOW, text, f"f{name}", guard="model|")
        made = Assignment(
            pattern_id=name,
            decided_by="first",
            distance=0.0,
            fingerprint=one.fingerprint,
            embedding_space="space",
        )
        decided.append(Decided(one, made, vector))
        centroids[name] = "model|", Centroid(vector, 1)
    serving = Serving(
        ordinal=1,
        space="space",
        encoder="e",
        text=TextPolicy(),
        by="me",
        reason="first",
        at=NOW,
    )
    plain = Geometry(1, np.zeros(16, dtype=np.float32))
    async with store.patterns.locked("shop") as writer:
        await writer.serve(serving)
        await writer.keep(Kept(space="space", decided=decided, centroids=centroids, geometry=plain))
    await store.close()


@pytest.mark.usefixtures("two_ways")
def test_modes_are_found_listed_and_shown_with_their_patterns(cli: Run, cli_json: RunJson) -> None:
    assert "There are no modes yet" in cli("modes", "list").stderr
    done = cli("modes", "refit")
    assert done.exit_code == 0, done.output
    assert " of 60 patterns are in 2 modes" in done.stdout
    modes = cli_json("modes", "list", "--project", "shop")
    assert sum(one["size"] for one in modes) > 50
    assert {"refund", "password"} <= {term for one in modes for term in one["terms"]}
    shown = cli("modes", "show", modes[0]["mode_id"][:8])
    assert modes[0]["name"] in shown.stdout
    assert "[bold]" in shown.stdout
    assert "are shown; --limit shows more" in shown.stderr
    told = cli_json("modes", "show", modes[0]["mode_id"])
    assert len(told["patterns"]) == modes[0]["size"]
    assert cli_json("modes", "refit")["detail"]["kept"] == 2


@pytest.mark.usefixtures("two_ways")
def test_a_proposal_is_shown_with_its_evidence_and_accepted(cli: Run, cli_json: RunJson) -> None:
    assert "Nothing is proposed" in cli("patterns", "proposals").stderr
    cli_json("modes", "refit")
    (one,) = [p for p in cli_json("patterns", "proposals") if {"p00", "p01"} <= set(p["patterns"])]
    listed = cli("patterns", "proposals", "--project", "shop").stdout
    assert one["proposal_id"] in listed
    assert "[bold]p00[/bold]" in listed
    done = cli("patterns", "proposals", "--accept", one["proposal_id"][:8], "--by", "ada")
    assert done.exit_code == 0, done.output
    assert f"into {one['patterns'][0]}" in done.stdout
    merged = len(one["patterns"]) - 1
    assert len(cli_json("patterns", "list")) == 60 - merged
    again = cli("patterns", "proposals", "--reject", one["proposal_id"])
    assert again.exit_code == 1
    assert "was accepted by ada already" in again.stderr


@pytest.mark.usefixtures("two_ways")
def test_a_rejected_proposal_is_not_made_again(cli: Run, cli_json: RunJson) -> None:
    cli_json("modes", "refit")
    (one,) = [p for p in cli_json("patterns", "proposals") if {"p00", "p01"} <= set(p["patterns"])]
    rejected = cli_json("patterns", "proposals", "--reject", one["proposal_id"], "--by", "ada")
    assert (rejected["state"], rejected["decided_by"]) == ("rejected", "ada")
    cli_json("modes", "refit")
    left = cli_json("patterns", "proposals")
    assert not any({"p00", "p01"} <= set(p["patterns"]) for p in left)
    assert [p["state"] for p in cli_json("patterns", "proposals", "--state", "rejected")] == [
        "rejected"
    ]


@pytest.mark.usefixtures("filled")
def test_what_is_not_there_is_said(cli: Run) -> None:
    few = cli("modes", "refit", "--project", "shop")
    assert few.exit_code == 1
    assert "from 20 on" in few.stderr
    unknown = cli("modes", "show", "abc")
    assert unknown.exit_code == 1
    assert "no mode whose id starts with 'abc'" in unknown.stderr
    assert cli("patterns", "proposals", "--accept", "abc").exit_code == 1
    both = cli("patterns", "proposals", "--accept", "a", "--reject", "b")
    assert both.exit_code == 2
    assert "contradict" in both.stderr
