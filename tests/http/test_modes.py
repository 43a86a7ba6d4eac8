"""`/v1/modes` and `/v1/patterns/proposals`: the routes on a real store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.collector import Collector
from services.guarding import remembering
from services.http.app import create_capture_app
from services.keys import drawn
from services.mode_store import MergeProposal, Mode, ModeRefit, PatternMode, Refitted
from services.redaction import Unredacted
from services.settings import Settings
from services.store.open import Store
from services.telemetry import Metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def client(
    tmp_path: Path, sqlite_url: str, publisher: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The application, asked with a key of `shop`, which has one mode and one proposal."""
    store = Store(sqlite_url)
    await store.modes.keep(
        Refitted(
            refit=ModeRefit(
                project="shop",
                number=1,
                at=NOW,
                patterns=2,
                modes=1,
                seconds=0.1,
                space="s",
                detail={},
            ),
            modes=[Mode(project="shop", mode_id="m1", name="late refund", size=2, born_refit=1)],
            gone=[],
            patterns=[PatternMode("p1", "m1", 1.0, 0.0)],
            proposals=[
                MergeProposal(
                    project="shop",
                    proposal_id="q1",
                    patterns=("p1", "p2"),
                    evidence={"mode": "m1"},
                    refit=1,
                )
            ],
        )
    )
    record, key = drawn(
        project="shop", name="k", scopes=("ingest", "read"), now=NOW, expires_at=None
    )
    await store.keys.add(record)
    settings = Settings(home=tmp_path, auth="required")
    known = await remembering(settings, store, lambda: NOW)
    collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=100_000)
    app = create_capture_app(collector, settings, metrics=Metrics(), remembering=known)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.1.2.3", 1)),
        base_url="http://capture",
        headers={"authorization": f"Bearer {key}"},
    ) as client:
        yield client
    await store.close()


async def test_modes_are_told_with_the_latest_refit(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/v1/modes")).json()
    assert [one["name"] for one in answer["modes"]] == ["late refund"]
    assert answer["refit"]["number"] == 1
    one = (await client.get("/v1/modes/m1?limit=5")).json()
    assert one["mode"]["mode_id"] == "m1"
    assert (await client.get("/v1/modes/m2")).status_code == 404


async def test_proposals_are_told_by_state(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/v1/patterns/proposals")).json()
    assert [one["patterns"] for one in answer["proposals"]] == [["p1", "p2"]]
    rejected = await client.get("/v1/patterns/proposals?state=rejected")
    assert rejected.json() == {"proposals": []}
    assert len((await client.get("/v1/patterns/proposals?state=all")).json()["proposals"]) == 1


@pytest.mark.parametrize("path", ["/v1/modes", "/v1/modes/m1", "/v1/patterns/proposals"])
async def test_nobody_reads_another_project_or_without_a_key(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(f"{path}?project=bank")).status_code == 403
    assert (await client.get(path, headers={"authorization": ""})).status_code == 401


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=1e9", "limit=99999999999999", "state=maybe"]
)
async def test_a_question_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/v1/patterns/proposals?{query}")
    assert answer.status_code == 400
    assert query.split("=", maxsplit=1)[0] in answer.text
