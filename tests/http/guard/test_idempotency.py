"""The same request twice is one event."""

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest
from guarded import TRACE, World

from services.errors import Unavailable


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
