"""`/v1/traces`: what OTLP/HTTP exporters may expect."""

import json
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = "application/x-protobuf"


def exported(*ids: bytes, project: str | None = None) -> bytes:
    """A protobuf request with a span for each span id."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    if project:
        resource.resource.attributes.add(key="service.name").value.string_value = project
    spans = resource.scope_spans.add().spans
    for span_id in ids:
        spans.add(trace_id=b"\1" * 16, span_id=span_id, name="chat")
    encoded: bytes = request.SerializeToString()
    return encoded


async def post(
    client: httpx.AsyncClient, body: bytes, kind: str = PROTOBUF, **headers: str
) -> httpx.Response:
    return await client.post("/v1/traces", content=body, headers={"content-type": kind, **headers})


async def test_every_real_request_is_taken_and_the_others_are_told_where_to_go(
    client: httpx.AsyncClient, publisher: Any, otlp_requests: list[bytes], settings: Any
) -> None:
    taken = 0
    for body in otlp_requests:
        if len(body) > settings.max_request_bytes:
            continue
        response = await post(client, body, "application/json")
        if b"resourceSpans" in body[:100]:
            assert response.status_code == 200, response.text
            taken += 1
        else:
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "wrong_signal"
            assert "point the exporter" in response.json()["message"]
    assert taken >= 9
    assert len(publisher.events) >= taken


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "Application/JSON",
    ],
)
async def test_json_is_answered_in_json(client: httpx.AsyncClient, kind: str) -> None:
    response = await post(client, b"{}", kind)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {}


@pytest.mark.parametrize("kind", [PROTOBUF, "application/x-protobuf; charset=utf-8"])
async def test_protobuf_is_answered_in_protobuf(client: httpx.AsyncClient, kind: str) -> None:
    for body in (exported(b"\2" * 8), b""):
        response = await post(client, body, kind)
        assert response.status_code == 200
        assert response.headers["content-type"] == PROTOBUF
        assert response.content == b""


async def test_rejected_spans_are_counted_with_their_reasons(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, exported(b"\2" * 8, b"\3", b""))
    assert response.status_code == 200
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert partial.rejected_spans == 2
    assert "16 hexadecimal digits" in partial.error_message
    spans = [{"traceId": "1" * 32, "spanId": "2" * 16}, {"traceId": "1", "spanId": "3" * 16}]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    said = (await post(client, body, "application/json")).json()["partialSuccess"]
    assert said["rejectedSpans"] == "1"  # an int64 is text in protobuf's JSON
    assert len(publisher.events) == 2


async def test_a_request_of_which_nothing_was_taken_is_no_success(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, exported(b"\2"))
    assert response.status_code == 400
    assert b"None of the spans was taken" in response.content
    assert publisher.messages == []


async def test_an_error_in_protobuf_is_a_status_message(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    """google.rpc.Status: field 1 is the code, field 2 the message."""
    publisher.down = "no broker answers, " + "x" * 200
    response = await post(client, exported(b"\2" * 8))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == PROTOBUF
    assert response.content[:3] == b"\x08\x0e\x12"
    length = (response.content[3] & 0x7F) | response.content[4] << 7
    assert response.content[5:].decode().startswith("Not stored")
    assert len(response.content[5:]) == length


async def test_the_header_names_the_project_unless_the_resource_does(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    await post(client, exported(b"\2" * 8, project="svc"))
    await post(client, exported(b"\2" * 8, project="svc"), **{"x-evalratchet-project": "mine"})
    assert [event.project for event in publisher.events] == ["svc", "mine"]
    response = await post(client, exported(b"\2" * 8), **{"x-evalratchet-project": "a b"})
    assert response.status_code == 400
    assert b"x-evalratchet-project" in response.content


async def test_a_trace_larger_than_a_message_is_stored_in_pieces(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    spans = [
        {"traceId": "1" * 32, "spanId": f"{number:016x}", "name": "n" * 9000}
        for number in range(1, 11)
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    assert (await post(client, body, "application/json")).json() == {}
    assert sum(len(event.spans) for event in publisher.events) == 10
    assert len(publisher.events) > 1
