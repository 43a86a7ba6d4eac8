"""Requests that are wrong in some way: a 4xx that says which, never a 500, and nothing is stored."""

import gzip
import zlib
from typing import Any

import httpx
import pytest

JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
GOOD = b'{"trace_id":"t","project":"p"}'
C, F, T = "/v1/captures", "/v1/feedback", "/v1/traces"

CASES: list[tuple[str, dict[str, str], bytes, int, str]] = [
    (C, JSON, b"", 400, "the body is empty"),
    (F, JSON, b"", 400, "the body is empty"),
    (T, JSON, b"", 400, "the body is empty"),
    (C, JSON, b" \n", 400, "the body is empty"),
    (C, JSON, b"{", 400, "ends before it is complete"),
    (C, JSON, GOOD[:-4], 400, "ends before it is complete"),
    (T, JSON, b'{"resourceSpans":[', 400, "ends before it is complete"),
    (C, JSON, b"null", 400, "expected `object`"),
    (C, JSON, b"5", 400, "expected `object`"),
    (C, JSON, b'"text"', 400, "expected `object`"),
    (C, JSON, b"[" + GOOD + b"]", 400, 'send {"traces": [...]}'),
    (F, JSON, b"[{}]", 400, 'send {"feedback": [...]}'),
    (C, JSON, b'{"traces":{}}', 400, "$.traces"),
    (C, JSON, b'{"traces":null}', 400, "$.traces"),
    (C, JSON, GOOD + b"x", 400, "malformed"),
    (C, JSON, GOOD + GOOD, 400, "malformed"),
    (C, JSON, b"\xef\xbb\xbf" + GOOD, 400, "byte 0"),
    (C, JSON, GOOD.decode().encode("utf-16"), 400, "byte 0"),
    (C, JSON, b'{"trace_id":"t","project":"p","latency_ms":NaN}', 400, "byte"),
    (C, JSON, b'{"trace_id":"t","project":"p","latency_ms":Infinity}', 400, "byte"),
    (C, JSON, b'{"trace_id":"t","project":"p","latency_ms":1e999}', 422, "out of range"),
    (C, JSON, b'{"trace_id":"t","project":"p","tokens_in":' + b"9" * 400 + b"}", 422, "range"),
    (C, JSON, b'{"trace_id":"\xff","project":"p"}', 422, "not UTF-8"),
    (C, JSON, b'{"trace_id":"\xed\xa0\x80","project":"p"}', 422, "not UTF-8"),
    (C, JSON, b'{"trace_id":"\\ud800","project":"p"}', 400, ""),
    (C, JSON, b'{"trace_id":"\\x","project":"p"}', 400, "invalid escaped"),
    (C, JSON, b'{"trace_id":"a\nb","project":"p"}', 400, "invalid character"),
    (C, JSON, b"[" * 100_000, 400, ""),
    (C, JSON, b'{"traces":[' + b"[" * 100_000, 400, "nested too deeply"),
    (C, JSON, b'{"a":' * 30_000 + b"1" + b"}" * 30_000, 400, "nested too deeply"),
    (T, JSON, b'{"a":' * 30_000 + b"1" + b"}" * 30_000, 400, "nested too deeply"),
    (C, JSON, b'{"trace_id":"t","project":"' + b"p" * 99 + b'"}', 422, "a project name"),
    (C, JSON, b"{}", 422, "missing required field"),
    (F, JSON, b"{}", 422, "missing required field"),
    (F, JSON, b'{"project":"p","trace_id":"t","name":"n"}', 422, "`value`"),
    (T, JSON, b'{"spans":[]}', 400, "has `resourceSpans`"),
    (T, JSON, b'{"resource_spans":[]}', 400, "resource_spans"),
    (T, PROTOBUF, b"\xff\xff", 400, "protobuf"),
    (T, PROTOBUF, b"{}", 400, "protobuf"),
    (T, PROTOBUF, b"\x0a\xff\xff\xff\xff\x0f", 400, "protobuf"),
    (T, {}, b"{}", 415, "application/x-protobuf or application/json"),
    (T, {"content-type": "text/plain"}, b"{}", 415, "text/plain"),
    (T, {"content-type": "application/json; charset=latin-1"}, b"{}", 415, "UTF-8"),
    (T, {"content-type": "application/grpc"}, b"", 415, "application/grpc"),
    (C, {"content-type": "application/x-www-form-urlencoded"}, GOOD, 415, "curl"),
    (C, {"content-type": "application/json; charset=utf-16"}, GOOD, 415, "UTF-8"),
    (C, PROTOBUF, GOOD, 415, "application/json"),
    (C, {"content-type": ";;;=,"}, GOOD, 415, "application/json"),
    (C, {**JSON, "content-encoding": "br"}, GOOD, 415, "gzip, deflate"),
    (T, {**JSON, "content-encoding": "gzip, gzip"}, b"{}", 415, "gzip, deflate"),
    (C, {**JSON, "content-encoding": "gzip"}, GOOD, 400, "not the gzip"),
    (C, {**JSON, "content-encoding": "gzip"}, b"", 400, "not the gzip"),
    (
        C,
        {**JSON, "content-encoding": "gzip"},
        gzip.compress(GOOD)[:-5],
        400,
        "before it is complete",
    ),
    (C, {**JSON, "content-encoding": "gzip"}, gzip.compress(GOOD) + b"tail", 400, "not the gzip"),
    (C, {**JSON, "content-encoding": "deflate"}, b"\x78\x9c\x00", 400, "not the deflate"),
    (C, {**JSON, "content-encoding": "deflate"}, zlib.compress(GOOD) + b"x", 400, "after its end"),
    (C, JSON, b'{"trace_id":"' + b"x" * 200_001, 413, "200000 bytes"),
    (T, PROTOBUF, b"x" * 200_001, 413, "200000 bytes"),
    (C, {**JSON, "content-encoding": "gzip"}, gzip.compress(b" " * 200_001), 413, "200000 bytes"),
    (C, {**JSON, "idempotency-key": "k" * 300}, GOOD, 400, "Idempotency-Key"),
    (T, {**JSON, "x-evalratchet-project": "../etc"}, b"{}", 400, "not a project name"),
]


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "said"),
    CASES,
    ids=[f"{number}-{case[0][4:]}-{case[3]}" for number, case in enumerate(CASES)],
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
        ("POST", "/v1/logs", 404, "not_found"),
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
