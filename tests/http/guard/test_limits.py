"""How often one may send, and how much at once."""

import asyncio
import functools
import gzip
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from guarded import PUBLIC, TRACE, World

from services.http.rate import Buckets
from services.settings import Settings


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between two requests, however busy the machine is."""
    standing = functools.partial(Buckets, elapsed=lambda: 1000.0)
    monkeypatch.setattr("services.http.app.Buckets", standing)


@pytest.mark.usefixtures("standing_clock")
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


@pytest.mark.usefixtures("standing_clock")
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
