"""OTLP/JSON to pieces."""

import json
from typing import Any

import pytest

from capture.ids import sealed
from capture.malformed import Malformed
from capture.otlp import Decoded, NotTraces, decode_json

TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def request(
    *spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: str | None = None
) -> dict[str, Any]:
    """A request with one resource; a span's ids are filled in."""
    attributes = [{"key": k, "value": {"stringValue": v}} for k, v in (resource or {}).items()]
    filled = [{"traceId": TRACE_ID, "spanId": SPAN_ID, **span} for span in spans]
    scope_spans = {"scope": {"name": scope}, "spans": filled}
    return {
        "resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scope_spans]}]
    }


def decode(body: Any, project: str | None = None, max_bytes: int = 100_000) -> Decoded:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_json(data, header_project=project, max_bytes=max_bytes)


def attributes_of(*values: dict[str, Any]) -> list[Any]:
    pairs = [{"key": str(number), "value": value} for number, value in enumerate(values)]
    return list(decode(request({"attributes": pairs})).pieces[0].spans[0].attributes.values())


def test_values_of_every_kind_become_plain_json() -> None:
    assert attributes_of(
        {"stringValue": "s"},
        {"boolValue": False},
        {"intValue": "-9223372036854775808"},
        {"intValue": 7},
        {"doubleValue": 0.5},
        {"doubleValue": "NaN"},
        {"doubleValue": "-Infinity"},
        {"doubleValue": "1e400"},
        {"arrayValue": {"values": [{"intValue": "1"}, {}]}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        {"bytesValue": "aGk="},
        {"arrayValue": {}},
        {},
    ) == [
        "s",
        False,
        -(2**63),
        7,
        0.5,
        "NaN",
        "-Infinity",
        "Infinity",
        [1, None],
        {"k": "v"},
        "aGk=",
        [],
        None,
    ]


def test_numbers_may_be_text_and_enumerations_may_be_names() -> None:
    span = {
        "kind": "SPAN_KIND_CLIENT",
        "status": {"code": "STATUS_CODE_ERROR", "message": "m"},
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000,
    }
    decoded = decode(request(span)).pieces[0].spans[0]
    assert (decoded.kind, decoded.status_code, decoded.status_message) == (3, 2, "m")
    assert decoded.end_ns - decoded.start_ns == 10**9


def test_ids_are_lower_case_and_a_parent_of_zeros_is_none() -> None:
    spans = {"traceId": TRACE_ID.upper(), "spanId": SPAN_ID.upper(), "parentSpanId": "0" * 16}
    piece = decode(request(spans)).pieces[0]
    assert piece.trace_id == TRACE_ID
    assert piece.spans[0].span_id == SPAN_ID
    assert piece.spans[0].parent_span_id is None


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        ({"traceId": ""}, "traceId is missing"),
        ({"traceId": "abc"}, "32 hexadecimal digits"),
        ({"traceId": "W47/95gDgQPSabYzgT/GDA=="}, "looks like base64"),
        ({"traceId": "0" * 32}, "all zeros"),
        ({"spanId": None}, "spanId is missing"),
        ({"spanId": 12}, "expected `str | null`, got `int` - at `$.spanId`"),
        ({"spanId": "x" * 16}, "16 hexadecimal digits"),
        ({"parentSpanId": "12"}, "parentSpanId must be"),
        ({"startTimeUnixNano": "-1"}, "between 0 and"),
        ({"startTimeUnixNano": "1e3"}, "whole number"),
        ({"startTimeUnixNano": "9" * 5000}, "whole number"),
        ({"startTimeUnixNano": str(2**64)}, "between 0 and"),
        ({"endTimeUnixNano": 1.5}, "whole number"),
        ({"kind": "CLIENT"}, "kind must be one of"),
        ({"status": {"code": "FAIL"}}, "status.code must be one of"),
        ({"status": []}, "$.status"),
        ({"attributes": [{"key": "k", "value": {"intValue": "9223372036854775808"}}]}, "intValue"),
        ({"attributes": [{"key": "k", "value": {"intValue": "٣"}}]}, "whole number"),
        ({"attributes": [{"key": "k", "value": {"doubleValue": "x"}}]}, "doubleValue"),
        ({"attributes": [{"key": "k", "value": {"stringValue": 5}}]}, "stringValue"),
        ({"attributes": {"k": "v"}}, "$.attributes"),
        ({"name": "x" * 200_000}, "the limit is 100000"),
    ],
)
def test_a_bad_span_is_rejected_with_its_reason_and_takes_no_other_along(
    span: dict[str, Any], reason: str
) -> None:
    decoded = decode(request(span, {"spanId": "1" * 16}))
    assert [s.span_id for piece in decoded.pieces for s in piece.spans] == ["1" * 16]
    assert len(decoded.rejected) == 1
    assert reason in decoded.rejected[0].reason


def test_an_attribute_nested_too_deeply_rejects_its_span() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    decoded = decode(request({"attributes": [{"key": "k", "value": value}]}))
    assert "nested deeper than 64" in decoded.rejected[0].reason


@pytest.mark.parametrize("body", [{}, {"resourceSpans": []}, {"resourceSpans": None}])
def test_an_empty_request_is_no_error(body: Any) -> None:
    assert decode(body) == Decoded()


def test_unknown_fields_and_nulls_are_ignored() -> None:
    body = request({"name": None, "attributes": None, "events": None, "status": None, "new": 1})
    body["resourceSpans"][0]["schemaUrl"] = "x"
    body["resourceSpans"].append({"resource": None, "scopeSpans": None})
    assert len(decode(body).pieces) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"   ", "the body is empty"),
        (b"{", "ends before it is complete (byte 1)"),
        (b"[]", "expected `object`, got `array`"),
        (b"null", "expected `object`, got `null`"),
        (b'{"resourceSpans": 5}', "$.resourceSpans"),
        (b'{"resourceSpans": [{"scopeSpans": [5]}]}', "$.resourceSpans[0].scopeSpans[0]"),
        (b'{"resourceSpans": [NaN]}', "byte 19"),
        (b"\xff", "byte 0"),
        (b"\xef\xbb\xbf{}", "byte 0"),
        (b'{"resource_spans": []}', "has `resourceSpans`; this object has 'resource_spans'"),
        (b'{"spans": []}', "this object has 'spans'"),
        (b'{"resourceSpans": [{"scope_spans": [{"spans": [{}]}]}]}', "lowerCamelCase"),
        (b'{"resourceSpans": [{"a": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(body: bytes, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        decode(body)
    assert said in str(refused.value)


@pytest.mark.parametrize("kind", ["logs", "metrics", "profiles"])
def test_another_signal_is_named_and_told_where_to_go(kind: str) -> None:
    with pytest.raises(NotTraces) as refused:
        decode({f"resource{kind.title()}": []})
    assert f"OTLP {kind} request" in str(refused.value)
    assert f"/v1/{kind}" in str(refused.value)


@pytest.mark.parametrize(
    ("resource", "header", "project"),
    [
        ({"evalratchet.project": "mine", "service.name": "s"}, "theirs", "mine"),
        ({"service.name": "s"}, "theirs", "theirs"),
        ({"service.name": "My Service/v2!"}, None, "My-Service-v2"),
        ({"service.name": "日本"}, None, "default"),
        ({"service.name": "s" * 100}, None, "s" * 64),
        ({"service.name": "unknown_service:node"}, None, "default"),
        ({}, None, "default"),
    ],
)
def test_the_project_is_what_is_said_closest_to_the_spans(
    resource: dict[str, Any], header: str | None, project: str
) -> None:
    assert decode(request({}, resource=resource), header).pieces[0].project == project


def test_spans_of_a_resource_with_an_impossible_project_are_rejected_not_misfiled() -> None:
    body = request({}, resource={"evalratchet.project": "a b"})
    body["resourceSpans"] += request({"spanId": "2" * 16})["resourceSpans"]
    decoded = decode(body)
    assert [piece.project for piece in decoded.pieces] == ["default"]
    assert "'a b' is not a project name" in decoded.rejected[0].reason


def test_each_trace_of_each_project_is_a_piece_in_order_of_arrival() -> None:
    other = {"traceId": "a" * 32}
    body = request({}, other, {"spanId": "2" * 16}, resource={"service.name": "one"})
    body["resourceSpans"] += request({}, resource={"service.name": "two"})["resourceSpans"]
    pieces = decode(body).pieces
    assert [(p.project, p.trace_id, len(p.spans)) for p in pieces] == [
        ("one", TRACE_ID, 2),
        ("one", "a" * 32, 1),
        ("two", TRACE_ID, 1),
    ]


def test_the_same_request_has_the_same_event_ids_however_its_json_is_written() -> None:
    body = request({"name": "n", "attributes": [{"key": "k", "value": {"intValue": 1}}]})
    compact = decode(json.dumps(body, separators=(",", ":")).encode())
    spacious = decode(json.dumps(body, indent=4, sort_keys=True).encode())
    other = decode(request({"name": "m"}))
    ids = [sealed(decoded.pieces[0])[0] for decoded in (compact, spacious, other)]
    assert ids[0] == ids[1] != ids[2]


def test_a_trace_too_large_for_one_piece_becomes_several_without_losing_a_span() -> None:
    spans = [{"spanId": f"{number:016x}", "name": "n" * 900} for number in range(1, 50)]
    decoded = decode(request(*spans), max_bytes=10_000)
    assert len(decoded.pieces) > 1
    assert [s.span_id for p in decoded.pieces for s in p.spans] == [s["spanId"] for s in spans]
    assert len({sealed(piece)[0] for piece in decoded.pieces}) == len(decoded.pieces)
    assert not decoded.rejected


def test_the_scope_and_the_events_are_kept() -> None:
    event = {"name": "exception", "timeUnixNano": "5", "attributes": [{"key": "a", "value": {}}]}
    span = decode(request({"events": [event]}, scope="lib")).pieces[0].spans[0]
    assert span.attributes == {"otel.scope.name": "lib"}
    assert span.events == ({"name": "exception", "time_ns": 5, "attributes": {"a": None}},)


def test_spans_under_the_name_before_otlp_0_15_are_read() -> None:
    body = request({})
    resource = body["resourceSpans"][0]
    resource["instrumentationLibrarySpans"] = resource.pop("scopeSpans")
    assert len(decode(body).pieces) == 1
