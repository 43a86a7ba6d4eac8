"""Requests that are wrong in some way: a 4xx that says which, never a 500, and nothing is stored."""

from typing import Any

import httpx
import pytest
from malformed_corpus import GOOD, JSON, REQUESTS, TAKEN, C


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "said"),
    REQUESTS,
    ids=[f"{number}-{case[0][1:]}-{case[3]}" for number, case in enumerate(REQUESTS)],
)
async def test_what_is_wrong_is_said(
    client: httpx.AsyncClient,
    publisher: Any,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    said: str,
) -> None:
    response = await client.post(path, content=body, headers=headers)
    assert response.status_code == status, response.text
    assert said in response.text.replace('\\"', '"')
    if response.headers["content-type"] == "application/json":
        error = response.json()["error"]
        assert error["code"]
        assert error["message"]
    assert publisher.messages == []
    after = await client.post(C, content=GOOD, headers=JSON)
    assert after.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/captures", 405, "method_not_allowed"),
        ("PUT", "/v1/traces", 405, "method_not_allowed"),
        ("DELETE", "/v1/feedback", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/metrics", 404, "not_found"),
        ("GET", "/static/swagger-ui/nothing.js", 404, "not_found"),
        ("GET", "/static/swagger-ui/../../app.py", 404, "not_found"),
        ("GET", "/static/swagger-ui/%2e%2e/%2e%2e/__init__.py", 404, "not_found"),
    ],
)
async def test_paths_and_methods_that_are_not_there_are_answered_in_the_same_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert "/docs" in response.json()["error"]["message"]


async def test_our_own_fault_is_a_500_that_promises_nothing(
    client: httpx.AsyncClient, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Any) -> None:
        message = "a bug"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(publisher, "publish", broken)
    response = await client.post(C, content=GOOD, headers=JSON)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "a bug" not in response.text


@pytest.mark.parametrize(
    ("path", "headers", "body"), TAKEN, ids=[str(n) for n in range(len(TAKEN))]
)
async def test_what_only_looks_wrong_is_taken(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], body: bytes
) -> None:
    response = await client.post(path, content=body, headers=headers)
    assert response.status_code in {200, 202}, response.text
