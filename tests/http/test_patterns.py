"""`/v1/patterns`: the whole application on a real store."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dedup.assign import Candidate, Decided
from dedup.events import Assignment
from services.collector import Collector
from services.guarding import remembering
from services.http.app import create_capture_app
from services.keys import Scope, drawn
from services.pattern_store import Kept
from services.redaction import Unredacted
from services.settings import Settings
from services.store.open import Store
from services.telemetry import Metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MERGE, CHANGES = "/v1/patterns/late/merge", "/v1/patterns/changes"
Client = Callable[..., Any]


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """Two patterns of `shop`: late, with two failures, and lost, with one."""
    store = Store(sqlite_url)
    decided = []
    for event, pattern in (("a", "late"), ("b", "late"), ("c", "lost")):
        new = event != "b"
        assignment = Assignment(
            pattern_id=pattern,
            decided_by="first" if new else "embedding",
            distance=0.0,
            fingerprint=event,
            embedding_space="s",
        )
        vector = np.ones(2, dtype=np.float32)
        one = Candidate("shop", event, f"t-{event}", NOW, f"text {event}", event)
        decided.append(Decided(one, assignment, vector))
    async with store.patterns.locked("shop") as writer:
        await writer.keep(Kept(space="s", decided=decided))
    yield store
    await store.close()


@pytest.fixture
def application(store: Store, tmp_path: Path, publisher: Any) -> Callable[..., Any]:
    """The application as it is served to an address, asked with a key of some scopes."""

    async def make(*scopes: Scope, project: str | None = "shop") -> httpx.AsyncClient:
        record, key = drawn(project=project, name="k", scopes=scopes, now=NOW, expires_at=None)
        await store.keys.add(record)
        known = await remembering(Settings(home=tmp_path, auth="required"), store, lambda: NOW)
        collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=100_000)
        app = create_capture_app(
            collector,
            Settings(home=tmp_path, auth="required"),
            metrics=Metrics(),
            remembering=known,
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.1.2.3", 1))
        headers = {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(
            transport=transport, base_url="http://capture", headers=headers, timeout=60
        )

    return make


async def counts(store: Store) -> dict[str, int]:
    rows = await store.reader.patterns(project="shop", limit=9)
    return {row.pattern_id: row.occurrences for row in rows}


async def test_patterns_are_merged_split_and_restored(application: Client, store: Store) -> None:
    async with await application("ingest", "review", "read") as client:
        answer = await client.post(
            MERGE, json={"merged": ["lost"], "reason": "one thing", "by": "ada"}
        )
        assert answer.status_code == 200, answer.text
        merged = answer.json()
        assert (merged["kind"], merged["reason"]) == ("merge", "one thing")
        assert merged["by"].startswith("ada (key er_")
        assert await counts(store) == {"late": 3}
        split = (await client.post("/v1/patterns/lost/split", json={"events": ["c"]})).json()
        made = split["detail"]["to"]
        assert split["by"].startswith("somebody over the API (key er_")
        assert await counts(store) == {"late": 2, made: 1}
        early = await client.post(f"{CHANGES}/{merged['change_id']}/undo")
        assert early.status_code == 409
        assert split["change_id"] in early.json()["error"]["message"]
        for change in (split, merged):
            undo = await client.post(f"{CHANGES}/{change['change_id']}/undo", json={"reason": "no"})
            assert undo.json()["detail"]["of"] == change["change_id"]
        assert await counts(store) == {"late": 2, "lost": 1}
        told = (await client.get(CHANGES, params={"limit": 3})).json()["changes"]
        assert [one["kind"] for one in told] == ["undo", "undo", "split"]


async def test_changing_wants_review_and_looking_wants_read(
    application: Client, store: Store
) -> None:
    body = {"merged": ["lost"]}
    async with await application("ingest", "read") as client:
        assert (await client.post(MERGE, json=body)).status_code == 403
        assert (await client.get(CHANGES)).status_code == 200
        assert (await client.get(CHANGES, headers={"authorization": ""})).status_code == 401
    async with await application("ingest", "review") as client:
        assert (await client.get(CHANGES)).status_code == 403
        elsewhere = await client.post(f"{MERGE}?project=bank", json=body)
        assert elsewhere.status_code == 403
    async with await application("ingest", "review", project=None) as client:
        assert "?project=" in (await client.post(MERGE, json=body)).json()["error"]["message"]
        assert await counts(store) == {"late": 2, "lost": 1}
        assert (await client.post(f"{MERGE}?project=shop", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (MERGE, {"merged": ["nothing"]}, 404, "no pattern nothing"),
        (MERGE, {"merged": ["late"]}, 409, "one pattern already"),
        (MERGE, {"merged": []}, 422, "length >= 1"),
        (MERGE, {"merged": ["lost"], "resaon": "x"}, 422, "resaon"),
        (MERGE, {"merged": ["lo\x00st"]}, 404, "no pattern 'lo\\x00st'"),
        ("/v1/patterns/la%00te/merge", {"merged": ["lost"]}, 404, "no pattern"),
        ("/v1/patterns/late/split", {"events": ["c"]}, 404, "no occurrence c"),
        ("/v1/patterns/lost/split", {"events": ["c"]}, 409, "Nothing would be left"),
        ("/v1/patterns/lost/split", {}, 422, "events"),
        (f"{CHANGES}/nothing/undo", {}, 404, "no change 'nothing'"),
        (f"{MERGE}?project=no%00name", {"merged": ["lost"]}, 400, "project"),
    ],
)
async def test_what_cannot_be_changed_says_why(
    application: Client, store: Store, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    async with await application("ingest", "review") as client:
        answer = await client.post(path, json=body)
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]["message"]
    assert await counts(store) == {"late": 2, "lost": 1}


@pytest.mark.parametrize("limit", ["0", "1001", "0000000011001", "000000001" + "9" * 5000, "ten"])
async def test_a_limit_that_is_none_says_which_are(application: Client, limit: str) -> None:
    async with await application("ingest", "read") as client:
        answer = await client.get(CHANGES, params={"limit": limit})
        assert answer.status_code == 400, answer.text
        assert "from 1 to 1000" in answer.json()["error"]["message"]
        assert (await client.get(CHANGES, params={"limit": "007"})).status_code == 200


async def test_a_body_that_is_none_is_malformed(application: Client) -> None:
    async with await application("ingest", "review") as client:
        answer = await client.post(MERGE, content=b"{")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
    async with await application("ingest", "read") as client:
        for limit in ("0", "1001", "many"):
            answer = await client.get(CHANGES, params={"limit": limit})
            assert answer.status_code == 400
            assert "from 1 to 1000" in answer.json()["error"]["message"]


NAME = "/v1/patterns/late/name"


async def test_a_pattern_is_named_and_its_name_is_taken_away(
    application: Client, store: Store
) -> None:
    async def name() -> str | None:
        rows = await store.reader.patterns(project="shop", limit=9)
        return next(row.name for row in rows if row.pattern_id == "late")

    async with await application("ingest", "review", "read") as client:
        answer = await client.put(NAME, json={"name": "late parcels", "by": "ada"})
        assert answer.status_code == 200, answer.text
        named = answer.json()
        assert named["detail"] == {"pattern": "late", "name": "late parcels", "before": None}
        assert named["by"].startswith("ada (key er_")
        assert await name() == "late parcels"
        answer = await client.delete(NAME, params={"reason": "not only parcels", "by": "bob"})
        assert (answer.json()["reason"], answer.json()["detail"]["name"]) == (
            "not only parcels",
            None,
        )
        assert await name() is None
        undo = await client.post(f"{CHANGES}/{answer.json()['change_id']}/undo")
        assert undo.json()["detail"]["kind"] == "name"
        assert await name() == "late parcels"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/patterns/nothing/name", {"name": "x"}, 404, "no pattern nothing"),
        (NAME, {"name": ""}, 422, "length >= 1"),
        (NAME, {"name": " "}, 409, "at least one letter"),
        (NAME, {"name": "x" * 121}, 422, "length <= 120"),
        (NAME, {}, 422, "name"),
        (NAME, None, 409, "has no name already"),
        (f"{NAME}?by={'x' * 2001}", None, 400, "by has at most 2000 characters"),
    ],
)
async def test_what_is_no_name_is_refused_with_what_to_change(
    application: Client, store: Store, path: str, body: Any, status: int, said: str
) -> None:
    async with await application("ingest", "review") as client:
        asked = client.delete(path) if body is None else client.put(path, json=body)
        answer = await asked
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]["message"]
        assert not await store.changes.history("shop", limit=9)


async def test_naming_wants_review(application: Client, store: Store) -> None:
    async with await application("ingest", "read") as client:
        assert (await client.put(NAME, json={"name": "x"})).status_code == 403
        assert (await client.delete(NAME)).status_code == 403
        assert not await store.changes.history("shop", limit=9)
