"""`/v1/logs`: GenAI events are taken, everything else is counted and said to be none of ours."""

import gzip
import json
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from capture.assemble import assemble

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def attributes(**named: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", float: "doubleValue", int: "intValue"}
    return [
        {"key": key.replace("__", "."), "value": {kinds[type(value)]: value}}
        for key, value in named.items()
    ]


def record(event: str | None = "gen_ai.evaluation.result", **fields: Any) -> dict[str, Any]:
    """An evaluation of a span, unless the fields say otherwise."""
    verdict = {"gen_ai__evaluation__name": "relevance", "gen_ai__evaluation__score__value": 0.2}
    whole = {
        "eventName": event,
        "timeUnixNano": "1762335062310000000",
        "traceId": TRACE,
        "spanId": SPAN,
        "attributes": attributes(**verdict),
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def request(*records: dict[str, Any], **resource: Any) -> bytes:
    logs = {
        "resource": {"attributes": attributes(**resource)},
        "scopeLogs": [{"logRecords": list(records)}],
    }
    return json.dumps({"resourceLogs": [logs]}).encode()


async def post(
    client: httpx.AsyncClient, body: bytes, kind: str = JSON, path: str = "/v1/logs", **headers: str
) -> httpx.Response:
    return await client.post(path, content=body, headers={"content-type": kind, **headers})


def rejected(response: httpx.Response) -> tuple[int, str]:
    assert response.status_code == 200, response.text
    said = response.json().get("partialSuccess", {})
    return int(said.get("rejectedLogRecords", 0)), said.get("errorMessage", "")


async def test_an_evaluation_is_feedback_on_its_trace(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, request(record(), service__name="support"))
    assert (response.status_code, response.json()) == (200, {})
    (feedback,) = publisher.events
    assert (feedback.project, feedback.trace_id, feedback.span_id) == ("support", TRACE, SPAN)
    signal = feedback.signal
    assert (signal.name, signal.value, signal.source) == ("relevance", 0.2, "evaluation")
    assert signal.at.isoformat() == "2025-11-05T09:31:02.310000+00:00"


@pytest.mark.parametrize(
    ("sent", "name", "value", "source"),
    [
        (
            record(
                None,
                attributes=attributes(
                    event__name="gen_ai.evaluation.result",
                    gen_ai__evaluation__name="tone",
                    gen_ai__evaluation__score__label="rude",
                ),
            ),
            "tone",
            "rude",
            "evaluation",
        ),
        (
            record(
                "gen_ai.evaluation.user_feedback",
                attributes=attributes(
                    gen_ai__response__id="chatcmpl-1", gen_ai__evaluation__score=-1.0
                ),
                body={"kvlistValue": {"values": attributes(comment="not there")}},
            ),
            "user_feedback",
            -1.0,
            "user",
        ),
        (
            record(
                "gen_ai.evaluation.relevance", attributes=attributes(gen_ai__evaluation__score=2)
            ),
            "relevance",
            2,
            "evaluation",
        ),
    ],
)
async def test_the_older_forms_of_verdicts_are_read(
    sent: dict[str, Any],
    name: str,
    value: Any,
    source: str,
    client: httpx.AsyncClient,
    publisher: Any,
) -> None:
    assert (await post(client, request(sent))).json() == {}
    (feedback,) = publisher.events
    said = feedback.signal
    assert (said.name, said.value, said.source) == (name, value, source)
    assert (said.comment == "not there") is (source == "user")


async def test_a_verdict_on_a_conversation_waits_for_its_session(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    told = attributes(
        gen_ai__conversation__id="s-1",
        gen_ai__evaluation__name="stars",
        gen_ai__evaluation__score__value=2,
    )
    await post(client, request(record(traceId=None, spanId=None, attributes=told)))
    (feedback,) = publisher.events
    assert (feedback.trace_id, feedback.session_id) == ("session:s-1", "s-1")


async def test_messages_in_log_records_join_their_span(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    """Whichever of the two comes first."""
    asked = record(
        "gen_ai.user.message",
        attributes=[],
        body={"kvlistValue": {"values": attributes(content="why?")}},
    )
    said = record(
        "gen_ai.choice",
        timeUnixNano="1762335063310000000",
        attributes=[],
        body={
            "kvlistValue": {
                "values": [
                    *attributes(index=0, finish_reason="stop"),
                    {
                        "key": "message",
                        "value": {"kvlistValue": {"values": attributes(content="so")}},
                    },
                ]
            }
        },
    )
    span = {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "chat m",
        "startTimeUnixNano": "1762335062000000000",
        "endTimeUnixNano": "1762335064000000000",
        "attributes": attributes(gen_ai__operation__name="chat", gen_ai__request__model="m"),
    }
    spans = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    await post(client, request(asked))
    await post(client, spans, path="/v1/traces")
    await post(client, request(said))
    pieces = publisher.events
    for order in (pieces, pieces[::-1], [*pieces, *pieces]):
        trace = assemble(order)
        assert trace is not None
        assert (trace.input, trace.output, trace.model) == ("why?", "so", "m")
        assert (trace.latency_ms, trace.metadata["finish_reason"]) == (2000, "stop")
        assert [step.content for step in trace.steps] == ["why?", "so"]


async def test_ordinary_logs_are_no_error_and_their_exporter_is_told(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    ordinary = {"body": {"stringValue": "hello"}, "severityNumber": 9}
    count, why = rejected(await post(client, request(ordinary, record(), ordinary)))
    assert count == 2
    assert why.startswith("2 not taken: evalratchet keeps no logs")
    assert len(publisher.events) == 1
    assert rejected(await post(client, request(ordinary)))[0] == 1


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (record(traceId=None, spanId=None), "has no trace id"),
        (record(traceId="abc"), "trace_id must be 32 hexadecimal digits"),
        (record(attributes=attributes(gen_ai__evaluation__name="x")), "says nothing"),
        (
            record(attributes=attributes(gen_ai__evaluation__score__value=1)),
            "no gen_ai.evaluation.name",
        ),
        (record("gen_ai.user.message", spanId=None), "the span_id is missing"),
        (record(timeUnixNano="soon"), "timeUnixNano must be a whole number"),
        (record(attributes={"not": "a list"}), "expected `array"),
        (record(attributes=attributes(gen_ai__evaluation__name="x" * 30_000)), "says nothing"),
        (
            record(
                attributes=attributes(
                    gen_ai__evaluation__name="x", gen_ai__evaluation__explanation="y" * 30_000
                )
            ),
            "bytes as JSON, the limit is 20000",
        ),
        (record("gen_ai.user.message", body={"stringValue": "y" * 30_000}), "bytes as JSON"),
    ],
)
async def test_an_event_that_cannot_be_taken_is_counted_with_its_reason(
    sent: dict[str, Any], why: str, client: httpx.AsyncClient, publisher: Any
) -> None:
    count, message = rejected(await post(client, request(sent, record())))
    assert count == 1
    assert why in message
    assert len(publisher.events) == 1


async def test_protobuf_is_answered_in_protobuf(client: httpx.AsyncClient, publisher: Any) -> None:
    sent = ExportLogsServiceRequest()
    scope = sent.resource_logs.add().scope_logs.add()
    event = scope.log_records.add(
        trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), time_unix_nano=1
    )
    event.event_name = "gen_ai.evaluation.result"
    event.attributes.add(key="gen_ai.evaluation.name").value.string_value = "relevance"
    event.attributes.add(key="gen_ai.evaluation.score.value").value.double_value = 0.2
    scope.log_records.add().body.string_value = "hello"
    response = await post(
        client,
        gzip.compress(sent.SerializeToString()),
        f"{PROTOBUF}; charset=utf-8",
        **{"content-encoding": "gzip"},
    )
    assert (response.status_code, response.headers["content-type"]) == (200, PROTOBUF)
    partial = ExportLogsServiceResponse.FromString(response.content).partial_success
    assert partial.rejected_log_records == 1
    assert "keeps no logs" in partial.error_message
    (feedback,) = publisher.events
    assert (feedback.trace_id, feedback.signal.value) == (TRACE, 0.2)


@pytest.mark.parametrize("path", ["/v1/logs", "/api/public/otel/v1/logs", "/otel/v1/logs"])
async def test_every_address_takes_logs(
    path: str, client: httpx.AsyncClient, publisher: Any
) -> None:
    assert (await post(client, request(record()), path=path)).json() == {}
    assert len(publisher.events) == 1


async def test_spans_on_the_path_for_logs_are_told_where_to_go(client: httpx.AsyncClient) -> None:
    response = await post(client, b'{"resourceSpans": []}')
    assert response.status_code == 400
    assert "/v1/traces" in response.json()["message"]
    spans = ExportTraceServiceRequest()
    spans.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"\1" * 16, span_id=b"\2" * 8, name="chat"
    )
    response = await post(client, spans.SerializeToString(), PROTOBUF)
    assert response.status_code == 400
    assert b"/v1/traces" in response.content


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", PROTOBUF, 200),
        (b"{}", JSON, 200),
        (b"\xff\xff\xff", PROTOBUF, 400),
        (b"{", JSON, 400),
        (b'{"a": 1}', JSON, 400),
        (b"[]", JSON, 400),
        (b"{}", "text/plain", 415),
    ],
)
async def test_what_is_no_request_is_said_to_be_none(
    body: bytes, kind: str, status: int, client: httpx.AsyncClient
) -> None:
    assert (await post(client, body, kind)).status_code == status


async def test_a_stream_that_is_away_is_503_with_a_time_to_come_again(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    publisher.down = "no broker answers"
    response = await post(client, request(record()))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
