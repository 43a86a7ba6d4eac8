"""`/v1/patterns/grey`: the routes on a real store."""

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
from services.keys import drawn
from services.pattern_store import Embedded, Kept
from services.redaction import Unredacted
from services.settings import Settings
from services.store.open import Store
from services.telemetry import Metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GREY = "/v1/patterns/grey"
Client = Callable[..., httpx.AsyncClient]


def decided(event: str, *, grey: bool) -> Decided:
    assignment = Assignment(
        pattern_id="p1",
        decided_by="embedding" if grey else "first",
        distance=0.4 if grey else 0.0,
        fingerprint=event,
        embedding_space="s",
        grey=grey,
    )
    one = Candidate("shop", event, f"t-{event}", NOW, f"text {event}", event, "model", "model|")
    return Decided(one, assignment, np.array([1, 0], dtype=np.float32))


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """A pattern of `shop` with two doubtful members."""
    one = Store(sqlite_url)
    made = [decided("e1", grey=False), decided("e2", grey=True), decided("e3", grey=True)]
    vector = np.array([1, 0], dtype=np.float32)
    texts = [Embedded(d.candidate.fingerprint, d.candidate.text, vector) for d in made]
    async with one.patterns.locked("shop") as writer:
        await writer.keep(Kept(space="s", decided=made, embedded=texts))
    yield one
    await one.close()


@pytest.fixture
async def asking(store: Store, tmp_path: Path, publisher: Any) -> AsyncIterator[Callable[..., Any]]:
    """Asks the application with a key of `shop` of these scopes."""
    opened: list[httpx.AsyncClient] = []

    async def client(*scopes: Any) -> httpx.AsyncClient:
        record, key = drawn(
            project="shop", name="k", scopes=tuple({"ingest", *scopes}), now=NOW, expires_at=None
        )
        await store.keys.add(record)
        settings = Settings(home=tmp_path, auth="required")
        known = await remembering(settings, store, lambda: NOW)
        collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=100_000)
        app = create_capture_app(collector, settings, metrics=Metrics(), remembering=known)
        opened.append(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False),
                base_url="http://capture",
                headers={"authorization": f"Bearer {key}"},
            )
        )
        return opened[-1]

    yield client
    for one in opened:
        await one.aclose()


async def test_doubtful_decisions_are_listed_and_reviewed(store: Store, asking: Any) -> None:
    client = await asking("read", "review")
    found = (await client.get(GREY)).json()["decisions"]
    assert [one["event_id"] for one in found] == ["e2", "e3"]
    assert (found[0]["text"], found[0]["pattern_text"]) == ("text e2", "text e1")
    kept = await client.post(f"{GREY}/e2", json={"verdict": "same", "by": "ann"})
    assert (kept.status_code, kept.json()["change"]) == (200, None)
    split = await client.post(f"{GREY}/e3", json={"verdict": "different", "reason": "other"})
    assert split.status_code == 200
    assert split.json()["change"]["kind"] == "split"
    assert (await client.get(GREY)).json()["decisions"] == []
    labels = await store.labels.every("shop")
    assert {one.verdict for one in labels} == {"same", "different"}
    assert any(one.by.startswith("ann (key ") for one in labels)
    again = await client.post(f"{GREY}/e2", json={"verdict": "same"})
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("event", "body", "status"),
    [
        ("e9", b'{"verdict": "same"}', 404),
        ("e", b'{"verdict": "same"}', 404),
        ("e2", b'{"verdict": "perhaps"}', 422),
        ("e2", b'{"verdict": "same", "more": 1}', 422),
        ("e2", b"same", 400),
    ],
)
async def test_what_is_no_review_is_refused(
    store: Store, asking: Any, event: str, body: bytes, status: int
) -> None:
    client = await asking("review")
    answer = await client.post(f"{GREY}/{event}", content=body)
    assert answer.status_code == status, answer.text
    assert len(await store.grey.undecided("shop", limit=9)) == 2


async def test_reviewing_needs_the_scope_and_the_project(asking: Any) -> None:
    reader = await asking("read")
    assert (await reader.get(GREY)).status_code == 200
    assert (await reader.post(f"{GREY}/e2", json={"verdict": "same"})).status_code == 403
    reviewer = await asking("review")
    other = await reviewer.post(f"{GREY}/e2?project=bank", json={"verdict": "same"})
    assert other.status_code == 403
