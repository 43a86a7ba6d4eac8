"""Who may send, how often, and how much at once: the whole application with a real store."""

import asyncio
import base64
import gzip
import hashlib
import shutil
import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import langsmith
import msgspec
import pytest
from langfuse import Langfuse
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from phoenix.client import Client

from services.collector import Collector
from services.errors import Unavailable
from services.guarding import remembering
from services.http.app import create_capture_app
from services.http.server import serve
from services.keys import Scope, drawn
from services.redaction import Unredacted
from services.settings import Settings, SettingsError
from services.store.open import Store
from services.store.schema import upgrade
from services.telemetry import Metrics

TRACE = {"trace_id": "t", "project": "shop"}
SPAN = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "s"}


def otlp(project: str | None = None, spans: Sequence[Any] = (SPAN,)) -> dict[str, Any]:
    attributes = [{"key": "service.name", "value": {"stringValue": "svc"}}]
    if project is not None:
        attributes.append({"key": "evalratchet.project", "value": {"stringValue": project}})
    scope = [{"spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": scope}]}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the store's tables, to copy."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    work = upgrade(f"sqlite:///{path}")
    thread = threading.Thread(target=asyncio.run, args=[work])
    thread.start()
    thread.join()
    return path


@pytest.fixture
async def store(tmp_path: Path, migrated: Path) -> AsyncIterator[Store]:
    shutil.copy(migrated, tmp_path / "store.db")
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield store
    await store.close()


class World:
    """The application as it would be served, its store, and keys for it."""

    def __init__(self, store: Store, publisher: Any, home: Path) -> None:
        self.store = store
        self.publisher = publisher
        self.metrics = Metrics()
        self._home = home
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.known: Any = None

    async def key(
        self, *scopes: Scope, project: str | None = "shop", days: float | None = None
    ) -> str:
        """A new key, known to the application when it is made afterwards."""
        expires = None if days is None else self.now + timedelta(days=days)
        record, key = drawn(
            project=project,
            name="k",
            scopes=scopes or ("ingest",),
            now=self.now,
            expires_at=expires,
        )
        await self.store.keys.add(record)
        if self.known is not None:
            await self.known.ring.refresh()
        return key

    async def client(self, address: str = "10.1.2.3", **set_to: Any) -> httpx.AsyncClient:
        """A client of the application with these settings, from an address."""
        settings = Settings(
            home=self._home,
            **{"max_trace_bytes": 20_000, "max_request_bytes": 200_000, **set_to},
        )
        self.known = await remembering(settings, self.store, lambda: self.now)
        collector = Collector(
            self.publisher, Unredacted(), topic="traces", max_message_bytes=100_000
        )
        app = create_capture_app(collector, settings, metrics=self.metrics, remembering=self.known)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://capture")

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def world(store: Store, publisher: Any, tmp_path: Path) -> World:
    return World(store, publisher, tmp_path)


PUBLIC = {"listen": "0.0.0.0:8321"}


async def test_on_loopback_nobody_needs_a_key_and_others_keys_are_no_harm(world: World) -> None:
    client = await world.client()
    for headers in (
        {},
        {"authorization": "Bearer sk-something"},
        {"x-api-key": "lsv2_pt_1"},
        {"authorization": "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-1").decode()},
        {"authorization": "Digest nonsense"},
        {"origin": "http://localhost:3000"},
    ):
        assert (await client.post("/v1/captures", json=TRACE, headers=headers)).status_code == 202


async def test_on_loopback_a_key_of_ours_that_opens_nothing_is_not_taken_for_none(
    world: World,
) -> None:
    """Who sends one means to be held to it: a typing error must not send to a project unseen."""
    key = await world.key()
    client = await world.client()
    wrong = await client.post("/v1/captures", json=TRACE, headers={"x-api-key": key + "x"})
    assert wrong.status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.com"])
async def test_on_loopback_a_web_page_of_another_site_cannot_send(
    world: World, origin: str
) -> None:
    """A browser posts to 127.0.0.1 for any page that asks it to."""
    client = await world.client()
    for path in ("/v1/captures", "/v1/feedback", "/v1/traces"):
        answer = await client.post(path, content=b"{}", headers={"origin": origin})
        assert answer.status_code == 403
    assert world.publisher.messages == []


async def test_listening_to_the_world_without_a_key_is_refused_unless_it_is_said_to_be_meant(
    world: World,
) -> None:
    with pytest.raises(SettingsError, match=r"evalratchet keys create PROJECT --scope ingest"):
        await world.client(**PUBLIC)
    with pytest.raises(SettingsError, match="EVALRATCHET_AUTH=required"):
        await world.client(auth="required")
    await world.key("read")
    await world.key(days=-1)
    with pytest.raises(SettingsError, match="no API key to send with"):
        await world.client(**PUBLIC)
    client = await world.client(**PUBLIC, auth="off")
    assert (await client.post("/v1/captures", json=TRACE)).status_code == 202
    assert (await client.get("/metrics")).status_code == 200
    await world.key()
    await world.client(**PUBLIC)


async def test_a_key_is_taken_in_every_way_that_clients_send_one(world: World) -> None:
    key = await world.key()
    client = await world.client(**PUBLIC)
    basic = base64.b64encode
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer  {key} "},
        {"x-api-key": key},
        {"api_key": key},
        {"authorization": "Basic " + basic(f"{key[:15]}:{key}".encode()).decode()},
        {"authorization": "Basic " + basic(f"{key}:".encode()).decode()},
    ):
        answer = await client.post("/v1/captures", json=TRACE, headers=headers)
        assert answer.status_code == 202, headers
    for headers in (
        {},
        {"authorization": key},
        {"authorization": "Bearer"},
        {"authorization": "Bearer " + key[:-1]},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + basic(b"\xff\xfe").decode()},
        {"authorization": "Basic " + basic(b"er_x:wrong").decode()},
        {"x-api-key": ""},
    ):
        answer = await client.post("/v1/captures", json=TRACE, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["error"]["code"] == "unauthorized"
        assert "Authorization: Bearer" in answer.json()["error"]["message"]


async def test_a_refusal_of_protobuf_is_a_status_in_protobuf(world: World) -> None:
    await world.key()
    client = await world.client(**PUBLIC)
    headers = {"content-type": "application/x-protobuf"}
    answer = await client.post("/v1/traces", content=b"", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert answer.content[:2] == b"\x08\x10", "google.rpc.Code 16 is UNAUTHENTICATED"


async def test_what_is_open_stays_open_and_metrics_need_the_scope_read(world: World) -> None:
    ingest, read = await world.key(), await world.key("read")
    client = await world.client(**PUBLIC)
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
        assert (await client.get(path)).status_code == 200, path
    assert (await client.get("/static/swagger-ui/swagger-ui.css")).status_code == 200
    assert (await client.get("/metrics")).status_code == 401
    short = await client.get("/metrics", headers={"x-api-key": ingest})
    assert short.status_code == 403
    assert 'scope="read"' in short.headers["www-authenticate"]
    assert (await client.get("/metrics", headers={"x-api-key": read})).status_code == 200
    refused = await client.post("/v1/captures", json=TRACE, headers={"x-api-key": read})
    assert refused.status_code == 403
    assert (await client.get("/v1/nothing")).status_code == 401, "paths are not told to strangers"


async def test_a_key_is_for_its_project_item_by_item(world: World) -> None:
    key = await world.key()
    client = await world.client(**PUBLIC)
    client.headers["x-api-key"] = key
    both = {"traces": [TRACE, {"trace_id": "u", "project": "bank"}]}
    answer = await client.post("/v1/captures", json=both)
    assert answer.status_code == 202
    assert [one["status"] for one in answer.json()["results"]] == ["accepted", "rejected"]
    error = answer.json()["results"][1]["error"]
    assert error["code"] == "forbidden"
    assert "'shop'" in error["message"]
    other = {"project": "bank", "trace_id": "t", "name": "thumbs", "value": 1}
    assert (await client.post("/v1/feedback", json=other)).status_code == 403
    assert {event.project for event in world.publisher.events} == {"shop"}
    name = "evalratchet_items_total"
    assert world.counted(name, kind="trace", outcome="accepted", reason="") == 1
    assert world.counted(name, kind="trace", outcome="rejected", reason="forbidden") == 1
    assert world.counted(name, kind="feedback", outcome="rejected", reason="forbidden") == 1


async def test_a_key_s_project_is_meant_where_none_is_named(world: World) -> None:
    key, every = await world.key(), await world.key(project=None)
    client = await world.client(**PUBLIC)
    mine = {"x-api-key": key}
    assert (await client.post("/v1/traces", json=otlp(), headers=mine)).status_code == 200
    assert (await client.post("/v1/traces", json=otlp("shop"), headers=mine)).status_code == 200
    other = await client.post("/v1/traces", json=otlp("bank"), headers=mine)
    assert other.status_code == 403
    assert "'shop'" in other.json()["message"]
    mixed = otlp("bank")
    mixed["resourceSpans"] += otlp(None, [{**SPAN, "spanId": "c" * 16}])["resourceSpans"]
    partial = await client.post("/v1/traces", json=mixed, headers=mine)
    assert partial.status_code == 200
    assert partial.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert {event.project for event in world.publisher.events} == {"shop"}
    assert (
        await client.post("/v1/traces", json=otlp("bank"), headers={"x-api-key": every})
    ).status_code == 200
    assert {event.project for event in world.publisher.events} == {"shop", "bank"}


async def test_a_revoked_key_opens_nothing_once_the_ring_looked(world: World) -> None:
    key = await world.key()
    client = await world.client(**PUBLIC, rate_per_second=0)
    client.headers["x-api-key"] = key
    assert (await client.post("/v1/captures", json=TRACE)).status_code == 202
    await world.store.keys.revoke(key[3:15], world.now)
    stop = asyncio.Event()
    following = asyncio.create_task(world.known.ring.keep_fresh(stop))
    async with asyncio.timeout(10):
        while (answer := await client.post("/v1/captures", json=TRACE)).status_code == 202:
            pass  # asked again
    stop.set()
    await following
    assert answer.status_code == 401
    assert "is revoked" in answer.json()["error"]["message"]


async def test_when_a_key_was_used_is_written_down(world: World) -> None:
    """Once a minute, and at the end."""
    key = await world.key()
    client = await world.client(**PUBLIC)
    await client.post("/v1/captures", json=TRACE, headers={"x-api-key": key})
    stop = asyncio.Event()
    stop.set()
    await world.known.ring.keep_fresh(stop)
    assert (await world.store.keys.every())[0].last_used_at == world.now


@pytest.mark.filterwarnings("default")
async def test_real_clients_send_the_key_where_it_is_looked_for(world: World) -> None:
    """Each with its own setting for a key: OpenTelemetry's exporter, Langfuse, LangSmith, Phoenix."""
    key = await world.key()
    client = await world.client(**PUBLIC)
    app = client._transport.app  # type: ignore[attr-defined]
    stop = asyncio.Event()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1:0", stop, on_started=started.set_result))
    url = await started
    for send in (_send_otlp, _send_langfuse, _send_langsmith, _send_phoenix):
        before = len(world.publisher.messages)
        await asyncio.to_thread(send, url, key)
        assert len(world.publisher.messages) > before, send.__name__
    stop.set()
    await serving


def _send_otlp(url: str, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", headers=headers)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("app").start_span("answer").end()
    provider.shutdown()


def _send_langfuse(url: str, key: str) -> None:
    client = Langfuse(public_key="pk-lf-anything", secret_key=key, base_url=url)
    client.create_score(name="thumbs", value=1, trace_id="a" * 32)
    client.flush()
    client.shutdown()


def _send_langsmith(url: str, key: str) -> None:
    client = langsmith.Client(api_url=url, api_key=key, info={}, auto_batch_tracing=False)
    client.create_feedback(run_id=uuid.uuid4(), key="thumbs", score=1)


def _send_phoenix(url: str, key: str) -> None:
    Client(base_url=url, api_key=key).traces.add_trace_annotation(
        trace_id="a" * 32, annotation_name="thumbs", annotator_kind="HUMAN", score=1
    )


# --- the API of keys --------------------------------------------------------------------------


async def test_keys_are_made_listed_and_revoked_by_who_has_one_of_scope_admin(
    world: World,
) -> None:
    admin = {"x-api-key": await world.key("admin", project=None)}
    client = await world.client(**PUBLIC)
    asked = {"project": "shop", "scopes": ["ingest"], "name": "web"}
    made = await client.post("/v1/keys", json=asked, headers=admin)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    key = made.json()["key"]
    sent = await client.post("/v1/captures", json=TRACE, headers={"x-api-key": key})
    assert sent.status_code == 202, "known at once to the process that made it"
    listed = (await client.get("/v1/keys", headers=admin)).json()["keys"]
    assert made.json()["prefix"] in {one["prefix"] for one in listed}
    assert key not in (await client.get("/v1/keys", headers=admin)).text
    gone = await client.delete(f"/v1/keys/{made.json()['id']}", headers=admin)
    assert gone.status_code == 200
    assert gone.json()["revoked_at"] is not None
    refused = await client.post("/v1/captures", json=TRACE, headers={"x-api-key": key})
    assert refused.status_code == 401
    assert (await client.delete("/v1/keys/er_nothing", headers=admin)).status_code == 404


@pytest.mark.parametrize("settings", [{}, {"auth": "off"}], ids=["loopback", "off"])
async def test_managing_keys_wants_a_key_even_where_nothing_else_does(
    world: World, settings: dict[str, Any]
) -> None:
    key, admin = await world.key(), await world.key("admin")
    client = await world.client(**settings)
    assert (await client.get("/v1/keys")).status_code == 401
    assert (await client.get("/v1/keys", headers={"x-api-key": key})).status_code == 403
    assert (await client.get("/v1/keys", headers={"x-api-key": admin})).status_code == 200


async def test_a_project_s_administrator_manages_the_project_s_keys_alone(world: World) -> None:
    admin = {"x-api-key": await world.key("admin")}
    other = await world.key(project="bank")
    client = await world.client(**PUBLIC, rate_per_second=0)
    made = await client.post("/v1/keys", json={"scopes": ["read"], "name": "n"}, headers=admin)
    assert made.json()["project"] == "shop"
    asked = {"scopes": ["read"], "name": "n", "project": "bank"}
    assert (await client.post("/v1/keys", json=asked, headers=admin)).status_code == 403
    listed = (await client.get("/v1/keys", headers=admin)).json()["keys"]
    assert {one["project"] for one in listed} == {"shop"}
    assert (await client.delete(f"/v1/keys/{other[3:15]}", headers=admin)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'{"scopes":[],"name":"n"}', 422),
        (b'{"scopes":["all"],"name":"n"}', 422),
        (b'{"scopes":["read"],"name":""}', 422),
        (b'{"scopes":["read"],"name":"n","project":"../x"}', 422),
        (b'{"scopes":["read"],"name":"n","expires_at":"2020-01-01T00:00:00Z"}', 422),
        (b'{"scopes":["read"],"name":"n","expires_at":"2030-01-01T00:00:00"}', 422),
        (b'{"scopes":["read"],"name":"n","admin":true}', 422),
        (b'{"scopes":["read"],"name":"' + b"n" * 70_000 + b'"}', 413),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused_with_the_reason(
    world: World, body: bytes, status: int
) -> None:
    admin = {"x-api-key": await world.key("admin", project=None)}
    client = await world.client()
    answer = await client.post("/v1/keys", content=body, headers=admin)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert len(await world.store.keys.every()) == 1


# --- rate and bytes ---------------------------------------------------------------------------


async def test_more_requests_than_the_rate_are_told_when_to_come_again(world: World) -> None:
    key, other = await world.key(), await world.key()
    client = await world.client(**PUBLIC, rate_per_second=0.5, rate_burst=2)
    answers = [
        await client.post("/v1/captures", json=TRACE, headers={"x-api-key": key}) for _ in range(3)
    ]
    assert [one.status_code for one in answers] == [202, 202, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=2;w=4'
    assert answers[0].headers["ratelimit"] == '"requests";r=1;t=0'
    assert answers[2].headers["retry-after"] == "2"
    assert answers[2].headers["ratelimit"] == '"requests";r=0;t=2'
    assert answers[2].json()["error"]["code"] == "rate_limited"
    assert len(world.publisher.messages) == 2
    fresh = await client.post("/v1/captures", json=TRACE, headers={"x-api-key": other})
    assert fresh.status_code == 202
    assert (await client.get("/readyz")).status_code == 200, "state is not rationed"


async def test_without_keys_the_rate_is_for_each_address(world: World) -> None:
    one = await world.client(rate_per_second=1, rate_burst=1)
    assert (await one.post("/v1/captures", json=TRACE)).status_code == 202
    assert (await one.post("/v1/captures", json=TRACE)).status_code == 429
    app = one._transport.app  # type: ignore[attr-defined]
    for address, status in (("10.9.9.9", 202), ("2001:db8::1", 202), ("2001:db8::2", 429)):
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            assert (await client.post("/v1/captures", json=TRACE)).status_code == status


async def test_bodies_in_hand_never_have_more_bytes_than_the_budget(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, proceed, publish = asyncio.Event(), asyncio.Event(), world.publisher.publish

    async def slow(messages: Any) -> None:
        began.set()
        await proceed.wait()
        await publish(messages)

    monkeypatch.setattr(world.publisher, "publish", slow)
    client = await world.client(max_request_bytes=20_000, max_inflight_bytes=20_000)
    large = {**TRACE, "input": "x" * 11_000}
    first = asyncio.create_task(client.post("/v1/captures", json=large))
    await began.wait()
    packed = gzip.compress(msgspec.json.encode(large))
    for answer in (
        await client.post("/v1/captures", json=large),
        await client.post("/v1/captures", content=packed, headers={"content-encoding": "gzip"}),
    ):
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert "EVALRATCHET_MAX_INFLIGHT_BYTES" in answer.json()["error"]["message"]
    proceed.set()
    assert (await first).status_code == 202
    for _ in range(20):
        assert (await client.post("/v1/captures", json=large)).status_code == 202
    broken = await client.post(
        "/v1/captures", content=packed[:-3], headers={"content-encoding": "gzip"}
    )
    assert broken.status_code == 400
    assert (await client.post("/v1/captures", json=large)).status_code == 202, "nothing is kept"


def test_a_budget_that_the_largest_request_does_not_fit_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MAX_INFLIGHT_BYTES"):
        Settings(home=tmp_path, max_request_bytes=2000, max_inflight_bytes=1999)


# --- idempotency ------------------------------------------------------------------------------


async def test_the_same_key_with_the_same_content_is_one_event_and_with_another_a_conflict(
    world: World,
) -> None:
    client = await world.client()
    keyed = {"idempotency-key": "order-1", "content-type": "application/json"}
    first = await client.post(
        "/v1/captures", content=b'{"trace_id":"t","project":"shop"}', headers=keyed
    )
    again = await client.post(
        "/v1/captures", content=b'{ "project": "shop",\n"trace_id": "t" }', headers=keyed
    )
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["results"][0]["event_id"] == again.json()["results"][0]["event_id"]
    stored = len(world.publisher.messages)
    other = await client.post("/v1/captures", json={**TRACE, "input": "else"}, headers=keyed)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "conflict"
    assert "another body" in other.json()["error"]["message"]
    assert len(world.publisher.messages) == stored
    rejected = {"kind": "trace", "outcome": "rejected", "reason": "conflict"}
    assert world.counted("evalratchet_items_total", **rejected) == 1
    elsewhere = await client.post(
        "/v1/captures", json={"trace_id": "t", "project": "bank"}, headers=keyed
    )
    assert elsewhere.status_code == 202, "keys of one project mean nothing in another"
    feedback = {"project": "shop", "trace_id": "t", "name": "thumbs", "value": 1}
    assert (await client.post("/v1/feedback", json=feedback, headers=keyed)).status_code == 202


@pytest.mark.parametrize(
    "junk", [b"[" * 900 + b"]" * 900, b'"\xff"', b"9" * 500], ids=["deep", "bytes", "digits"]
)
async def test_what_cannot_be_read_in_a_field_that_means_nothing_does_not_break_a_keyed_request(
    world: World, junk: bytes
) -> None:
    client = await world.client()
    body = b'{"trace_id":"t","project":"shop","junk":' + junk + b"}"
    keyed = {"idempotency-key": "k"}
    first = await client.post("/v1/captures", content=body, headers=keyed)
    assert first.status_code in {202, 400, 422}
    again = await client.post("/v1/captures", content=body, headers=keyed)
    assert again.status_code == first.status_code
    plain = await client.post("/v1/captures", content=body)
    assert plain.status_code == first.status_code, "a key changes nothing about what is taken"


async def test_of_two_bodies_with_one_key_at_once_one_is_stored(world: World) -> None:
    client = await world.client()
    bodies = [{**TRACE, "input": f"body {number}"} for number in range(8)]
    answers = await asyncio.gather(
        *(
            client.post("/v1/captures", json=body, headers={"idempotency-key": "k"})
            for body in bodies
        )
    )
    assert sorted(one.status_code for one in answers) == [202] + [409] * 7
    assert len(world.publisher.messages) == 1


async def test_while_the_store_is_away_only_keyed_requests_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.client()

    async def away(*_: Any, **__: Any) -> bytes:
        message = "the store is away"
        raise Unavailable(message)

    monkeypatch.setattr(world.store.idempotency, "claim", away)
    assert (await client.post("/v1/captures", json=TRACE)).status_code == 202
    keyed = await client.post("/v1/captures", json=TRACE, headers={"idempotency-key": "k"})
    assert keyed.status_code == 503
    assert int(keyed.headers["retry-after"]) >= 1


async def test_a_body_is_not_to_be_guessed_from_what_is_remembered_of_it(world: World) -> None:
    """A plain hash of `{"input": "4929..."}` tells the card number to who tries them all."""
    client = await world.client()
    taken = await client.post("/v1/captures", json=TRACE, headers={"idempotency-key": "k"})
    event_id = taken.json()["results"][0]["event_id"]
    kept = await world.store.idempotency.claim(event_id, b"asking what is there", at_ms=0)
    assert len(kept) == 32
    said = msgspec.json.encode(TRACE, order="deterministic")
    assert kept != hashlib.blake2b(said, digest_size=32).digest()
    key = await world.store.secrets.get_or_make("idempotency")
    assert kept == hashlib.blake2b(said, digest_size=32, key=key).digest()


# --- what is counted --------------------------------------------------------------------------


async def test_requests_are_counted_by_route_and_status_and_no_path_makes_a_new_series(
    world: World,
) -> None:
    client = await world.client()
    await client.post("/v1/captures", json=TRACE)
    await client.post("/v1/captures", content=b"{")
    await client.post("/v1/captures", json={"traces": [TRACE, {}]})
    for number in range(5):
        await client.get(f"/no/such/{number}")
    name = "evalratchet_requests_total"
    assert world.counted(name, route="/v1/captures", status="202") == 2
    assert world.counted(name, route="/v1/captures", status="400") == 1
    assert world.counted(name, route="other", status="404") == 5
    items = "evalratchet_items_total"
    assert world.counted(items, kind="trace", outcome="accepted", reason="") == 2
    assert world.counted(items, kind="trace", outcome="rejected", reason="invalid") == 1
    empty = ExportTraceServiceRequest().SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    await client.post("/v1/traces", content=empty, headers=headers)
    await client.post("/v1/traces", json=otlp("shop"))
    assert world.counted(items, kind="span", outcome="accepted", reason="") == 1


async def test_a_process_that_is_being_stopped_is_not_ready(world: World) -> None:
    client = await world.client()
    assert (await client.get("/readyz")).status_code == 200
    world.metrics.health.stop()
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
