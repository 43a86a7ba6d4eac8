"""Who may send, and what: the whole application with a real store."""

import asyncio
import base64

import pytest
from guarded import PUBLIC, SPAN, TRACE, World, otlp

from services.settings import SettingsError


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
    async with asyncio.timeout(60):
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
