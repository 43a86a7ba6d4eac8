"""`/v1/dedup/what-if` and `/v1/dedup/coverage`: the whole application on a real store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from capture.events import Failure
from capture.trace import Trace
from dedup.encoders.hashing import HashingEncoder
from services.collector import Collector
from services.deduper import Deduper
from services.encoders import Encoders
from services.guarding import remembering
from services.http import knob
from services.http.app import create_capture_app
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.keys import Scope, drawn
from services.knob import KnobReader
from services.policy import Policies
from services.redaction import Unredacted
from services.settings import Settings
from services.store.open import Store
from services.telemetry import Metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHAT_IF = "/v1/dedup/what-if"
Client = Callable[..., Any]


class Hashing:
    encoder = HashingEncoder.identity

    def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        return list(HashingEncoder().encode(texts))

    async def close(self) -> None:
        """Nothing to stop."""


def no_other(encoder: str) -> Hashing:
    raise ValueError(encoder)


@pytest.fixture
async def store(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Store]:
    """A store in which twenty failures of `shop` were decided, an hour after the other."""
    store = Store(sqlite_url)
    deduper = Deduper(
        store.patterns,
        Encoders(Hashing(), no_other),
        Indexes(IndexFiles(tmp_path / "indexes")),
        Policies(store.policies),
        clock=lambda: NOW,
    )
    texts = [f"{what} {how}" for what in ("parcel", "invoice") for how in "abcdefghij"]
    await deduper.handle(
        [
            Failure(
                event_id=f"e{n}",
                trace=Trace(trace_id=f"t{n}", project="shop", input=f"where is my {text}?"),
                signals=(),
                severity="high",
                failed_at=NOW - timedelta(hours=len(texts) - n),
            )
            for n, text in enumerate(texts)
        ]
    )
    yield store
    await store.close()


@pytest.fixture
def application(store: Store, tmp_path: Path, publisher: Any) -> Callable[..., Any]:
    """The application as it is served to an address, asked with a key of some scopes."""

    async def make(
        *scopes: Scope, project: str | None = "shop", auth: str = "required"
    ) -> httpx.AsyncClient:
        record, key = drawn(
            project=project, name="k", scopes=scopes or ("read",), now=NOW, expires_at=None
        )
        await store.keys.add(record)
        settings = Settings(home=tmp_path, auth=auth)
        known = await remembering(settings, store, lambda: NOW)
        collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=100_000)
        app = create_capture_app(collector, settings, metrics=Metrics(), remembering=known)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.1.2.3", 1))
        headers = {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(
            transport=transport, base_url="http://capture", headers=headers, timeout=60
        )

    return make


async def test_what_if_answers_what_the_command_answers(application: Client) -> None:
    async with await application("ingest", "read") as client:
        answer = (await client.get(WHAT_IF, params={"distance": 1.2, "examples": 1})).json()
        assert answer["project"] == "shop"
        assert answer["failures"] == 20
        assert answer["then"]["patterns"] <= answer["today"]["patterns"]
        assert len(answer["merges"]) <= 1
        assert answer["curves"]["points"][0]["distance"] == 0.05
        few = await client.get(WHAT_IF, params={"distance": 0.4, "since": "5h", "project": "shop"})
        # the clock is the server's, and these failures are of March
        assert few.json()["failures"] == 0


async def test_coverage_has_estimates_and_the_discovery_curve(application: Client) -> None:
    async with await application("ingest", "read") as client:
        answer = (await client.get("/v1/dedup/coverage")).json()
        assert answer["coverage"]["failures"] == 20
        assert answer["discovery"]["seen"][-1] == [20, answer["coverage"]["patterns"]]
        assert answer["discovery"]["forecast"][-1][0] == 40


@pytest.mark.parametrize("path", [f"{WHAT_IF}?distance=0.4", "/v1/dedup/coverage"])
async def test_only_a_key_that_may_read_reads_and_only_its_own_project(
    application: Client, path: str
) -> None:
    joined = "&" if "?" in path else "?"
    async with await application("ingest") as client:
        assert (await client.get(path)).status_code == 403
        assert (await client.get(path, headers={"authorization": ""})).status_code == 401
    async with await application("ingest", "read") as client:
        assert (await client.get(f"{path}{joined}project=other")).status_code == 403
        assert (await client.get(path)).status_code == 200
    async with await application("ingest", "read", project=None) as client:
        assert "?project=" in (await client.get(path)).json()["error"]["message"]
        assert (await client.get(f"/projects/shop{path}")).status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "?distance="),
        ("distance=far", "'far'"),
        ("distance=nan", "no number"),
        ("distance=2.1", "0 to 2"),
        ("distance=0.4&since=yesterday", "?since=30d"),
        ("distance=0.4&examples=101", "0 to 100"),
        ("distance=0.4&project=no/name", ""),
    ],
)
async def test_a_question_that_cannot_be_answered_says_what_to_change(
    application: Client, query: str, said: str
) -> None:
    async with await application("ingest", "read") as client:
        answer = await client.get(f"{WHAT_IF}?{query}")
        assert answer.status_code in {400, 403}
        assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [f"{WHAT_IF}?distance=0.4", "/v1/dedup/coverage?"])
async def test_a_project_without_failures_is_not_found(application: Client, path: str) -> None:
    async with await application("ingest", "read", project=None) as client:
        answer = await client.get(f"{path}&project=nobody")
        assert answer.status_code == 404
        assert "nobody has no" in answer.json()["error"]["message"]


async def test_a_history_too_large_for_a_request_names_the_command(
    application: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knob, "_MOST_TEXTS", 19)
    async with await application("ingest", "read") as client:
        answer = await client.get(WHAT_IF, params={"distance": 0.4})
        assert answer.status_code == 422
        assert "evalratchet dedup what-if --project shop" in answer.json()["error"]["message"]


async def test_only_one_replay_runs_at_a_time_and_others_are_served_meanwhile(
    store: Store, publisher: Any, tmp_path: Path
) -> None:
    """A replay is seconds of work: who asks a second one comes again, who sends traces waits for none."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        """The store's own reader, which waits before it reads."""

        def __init__(self, reader: KnobReader) -> None:
            self._reader = reader

        def __getattr__(self, name: str) -> Any:
            return getattr(self._reader, name)

        async def history(self, project: str, **more: Any) -> Any:
            begun.set()
            await go_on.wait()
            return await self._reader.history(project, **more)

    store.knob = Slow(store.knob)  # type: ignore[assignment] # it does what the reader does, later
    known = await remembering(Settings(home=tmp_path), store, lambda: NOW)
    collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=100_000)
    app = create_capture_app(
        collector, Settings(home=tmp_path), metrics=Metrics(), remembering=known
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    asked = {"distance": "0.4", "project": "shop"}
    async with httpx.AsyncClient(transport=transport, base_url="http://capture") as client:
        first = asyncio.create_task(client.get(WHAT_IF, params=asked))
        await begun.wait()
        second = await client.get(WHAT_IF, params=asked)
        assert second.status_code == 503
        assert "retry-after" in second.headers
        assert (await client.get("/healthz")).status_code in {200, 503}
        go_on.set()
        assert (await first).status_code == 200
        assert (await client.get(WHAT_IF, params=asked)).status_code == 200
