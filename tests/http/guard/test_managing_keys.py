"""The API of keys."""

from typing import Any

import pytest
from guarded import PUBLIC, TRACE, World


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
