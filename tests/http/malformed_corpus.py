"""Requests that are wrong in some way, and what each is to be answered.

One corpus for the tests and for `benchmarks/hostile.py`. It supposes a server that takes traces of at
most 20,000 bytes and requests of at most 200,000.

`REQUESTS`: path, headers, body, status, and a text that the answer has.
`CONNECTIONS`: bytes as they are sent, and the status that the connection's first answer has.
`TAKEN`: requests that look wrong and are not: path, headers, body.
"""

import gzip
import json
import zlib
from typing import Any

JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
GOOD = b'{"trace_id":"t","project":"p"}'
C, F, T = "/v1/captures", "/v1/feedback", "/v1/traces"

REQUESTS: list[tuple[str, dict[str, str], bytes, int, str]] = [
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


def _span(**fields: Any) -> bytes:
    """An OTLP/JSON request of one span that is well but for these fields."""
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "s", **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def _trace(**fields: Any) -> bytes:
    return json.dumps({"trace_id": "t", "project": "p", **fields}).encode()


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field that has a length."""
    length, encoded = len(content), bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *encoded, length]) + content


def _protobuf_span(span: bytes) -> bytes:
    return _field(1, _field(2, _field(2, span)))


def _nested(levels: int) -> bytes:
    """A protobuf span with an attribute of lists in lists."""
    value = _field(1, b"x")
    for _ in range(levels):
        value = _field(5, _field(1, value))
    attribute = _field(1, b"k") + _field(2, value)
    return _protobuf_span(_field(1, b"a" * 16) + _field(2, b"b" * 8) + _field(9, attribute))


PROTOBUF_SPAN = _protobuf_span(_field(1, b"a" * 16) + _field(2, b"b" * 8) + _field(5, b"x"))
L = "/v1/logs"
SCORES, LANGSMITH, PHOENIX = "/api/public/scores", "/feedback", "/v1/trace_annotations"
GZIP_PROTOBUF = {**PROTOBUF, "content-encoding": "gzip"}

REQUESTS += [
    # OTLP/JSON that is JSON and no OTLP
    (T, JSON, b'{"resourceSpans":{}}', 400, "resourceSpans"),
    (T, JSON, b'{"resourceSpans":[null]}', 400, "resourceSpans[0]"),
    (T, JSON, b'{"resourceSpans":[1]}', 400, "resourceSpans[0]"),
    (T, JSON, b'{"resourceSpans":[{"scopeSpans":{}}]}', 400, "scopeSpans"),
    (T, JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":"x"}]}]}', 400, "spans"),
    (T, JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":[null]}]}]}', 400, "None of the spans"),
    (T, JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}', 400, "traceId is missing"),
    (T, JSON, _span(traceId="qqqqqqqqqqqqqqqqqqqqqg=="), 400, "base64"),
    (T, JSON, _span(traceId="0" * 32), 400, "all zeros"),
    (T, JSON, _span(traceId=5), 400, "$.traceId"),
    (T, JSON, _span(traceId="z" * 32), 400, "hexadecimal"),
    (T, JSON, _span(spanId=""), 400, "spanId is missing"),
    (T, JSON, _span(spanId="b" * 15), 400, "16 hexadecimal"),
    (T, JSON, _span(startTimeUnixNano="-1"), 400, "startTimeUnixNano"),
    (T, JSON, _span(startTimeUnixNano="soon"), 400, "startTimeUnixNano"),
    (T, JSON, _span(startTimeUnixNano="9" * 30), 400, "startTimeUnixNano"),
    (T, JSON, _span(startTimeUnixNano=1e30), 400, "startTimeUnixNano"),
    (T, JSON, _span(name=5), 400, "$.name"),
    (T, JSON, _span(attributes={}), 400, "$.attributes"),
    (T, JSON, _span(attributes=[{"key": 5}]), 400, "$.attributes[0].key"),
    (T, JSON, _span(attributes=[{"key": "k", "value": "v"}]), 400, "$.attributes[0].value"),
    (T, JSON, _span(attributes=[{"key": "k", "value": {"intValue": "x"}}]), 400, "intValue"),
    (T, JSON, _span(status={"code": "FINE"}), 400, "status.code"),
    (T, JSON, _span(name="x" * 30_000), 400, "the limit is 20000"),
    (T, JSON, b'{"resource\xff":[]}', 400, "not UTF-8"),
    (T, JSON, b'{"resourceLogs":[]}', 400, "logs"),
    (T, JSON, b'{"resourceMetrics":[]}', 400, "metrics"),
    # protobuf
    (T, PROTOBUF, PROTOBUF_SPAN[:-1], 400, "protobuf"),
    (T, PROTOBUF, PROTOBUF_SPAN + b"\xff", 400, "protobuf"),
    (T, PROTOBUF, b"\x0b" * 50, 400, "protobuf"),
    (T, PROTOBUF, _nested(200), 400, "protobuf"),
    (T, PROTOBUF, gzip.compress(PROTOBUF_SPAN), 400, "protobuf"),
    (T, GZIP_PROTOBUF, PROTOBUF_SPAN, 400, "not the gzip"),
    (T, PROTOBUF, _protobuf_span(_field(1, b"a") + _field(2, b"b" * 8)), 400, "trace"),
    (T, PROTOBUF, _protobuf_span(_field(5, b"no ids")), 400, "missing"),
    (L, JSON, b"[", 400, "OTLP/JSON logs"),
    (L, PROTOBUF, b"\xff", 400, "protobuf"),
    (L, PROTOBUF, PROTOBUF_SPAN, 400, "protobuf"),
    (L, {}, b"{}", 415, "application/x-protobuf or application/json"),
    # native
    (C, JSON, b'{"traces":[null,1,"x",[],{}]}', 422, "None was taken"),
    (C, JSON, _trace(trace_id=5), 422, "$.trace_id"),
    (C, JSON, _trace(trace_id=""), 422, "$.trace_id"),
    (C, JSON, _trace(trace_id="x" * 2000), 422, "$.trace_id"),
    (C, JSON, _trace(trace_id="t\0"), 422, "cannot be printed"),
    (C, JSON, _trace(project=""), 422, "a project name"),
    (C, JSON, _trace(project="../etc/passwd"), 422, "a project name"),
    (C, JSON, _trace(steps={}), 422, "$.steps"),
    (C, JSON, _trace(steps=[{"type": "unknown"}]), 422, "$.steps[0].type"),
    (C, JSON, _trace(started_at="yesterday"), 422, "$.started_at"),
    (C, JSON, _trace(latency_ms="1"), 422, "$.latency_ms"),
    (C, JSON, _trace(latency_ms=-1), 422, "$.latency_ms"),
    (C, JSON, _trace(metadata=[]), 422, "$.metadata"),
    (C, JSON, _trace(signals=[{"name": ""}]), 422, "$.signals[0].name"),
    (C, JSON, _trace(input="x" * 30_000), 413, "the limit is 20000"),
    (
        C,
        JSON,
        b'{"trace_id":"t","project":"p","input":' + b"[" * 70 + b"]" * 70 + b"}",
        422,
        "64 levels",
    ),
    (F, JSON, b'{"project":"p","trace_id":"t","name":"n","value":{}}', 422, "$.value"),
    (F, JSON, b'{"project":"p","trace_id":"t","name":"n","value":1e400}', 422, "out of range"),
    (F, JSON, b'{"feedback":5}', 400, "$.feedback"),
    # feedback of other tools
    (SCORES, JSON, b"", 400, "empty"),
    (SCORES, JSON, b"{}", 400, "`name`"),
    (SCORES, JSON, b'{"traceId":5}', 400, "$.traceId"),
    (PHOENIX, JSON, b"[]", 400, "annotations"),
    (PHOENIX, JSON, b'{"data":5}', 400, "$.data"),
    (PHOENIX, JSON, b'{"data":[null]}', 422, "data[0]"),
    (LANGSMITH, JSON, b"{", 400, "before it is complete"),
    (LANGSMITH, JSON, b"{}", 400, "`key`"),
]

TAKEN: list[tuple[str, dict[str, str], bytes]] = [
    (C, {}, GOOD),
    (C, {"content-type": "application/json; charset=utf-8"}, GOOD),
    (C, {"content-type": "application/json;charset=UTF8"}, b"  " + GOOD + b"\n\n"),
    (C, JSON, b'{"traces":[]}'),
    (C, {**JSON, "content-encoding": "gzip"}, gzip.compress(GOOD)),
    (T, {"content-type": "application/json; charset=utf-8"}, b"{}"),
    (T, {"content-type": "application/x-protobuf; charset=utf-8"}, b""),
    (T, JSON, b'{"resourceSpans":null}'),
    (T, JSON, b'{"resourceSpans":[],"unknown":{"fields":[1]}}'),
    (T, JSON, _span(kind="SPAN_KIND_SERVER", attributes=None, startTimeUnixNano=5)),
    (T, PROTOBUF, PROTOBUF_SPAN),
    (T, PROTOBUF, b"\x0a\x00" * 1000),
    (T, GZIP_PROTOBUF, gzip.compress(PROTOBUF_SPAN)),
    (L, JSON, b'{"resourceLogs":null}'),
    (L, PROTOBUF, b""),
]

_HEAD = b"POST /v1/captures HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
POST = _HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
CLOSING = POST.replace(b"Host: x", b"Host: x\r\nConnection: close")
CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

CONNECTIONS: list[tuple[bytes, int]] = [
    (CLOSING.replace(b"HTTP/1.1", b"HTTP/1.0"), 202),
    (CLOSING.replace(b"/v1/captures", b"http://else.where/v1/captures"), 202),
    (CLOSING.replace(b"/v1/captures", b"/v1/captures?x=y#z"), 202),
    (CLOSING.replace(b"Host: x", b"host:x\r\nupgrade: h2c"), 202),
    (b"HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    (b"HEAD /v1/captures HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    (
        b"OPTIONS /v1/captures HTTP/1.1\r\nOrigin: http://localhost\r\nConnection: close\r\n\r\n",
        405,
    ),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    (b"BREW /v1/captures HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /%00/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    (b"GET /static/swagger-ui/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    (b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (POST.replace(b"Host: x", b"Host: x\r\nContent-Length: 3"), 400),
    (POST.replace(b"Host: x", b"Host: x\r\nTransfer-Encoding: chunked"), 400),
    (_HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    (_HEAD + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    (_HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    (CHUNKED + b"zz\r\n", 400),
    (CHUNKED + b"5\r\nhelloXX", 400),
    (CHUNKED + b"fffffffffffffffffff\r\n", 400),
    (b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n\r\n", 400),
    (b"GET / HTCPCP/1.0\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"\x00" * 100, 400),
    (b"SSH-2.0-OpenSSH_9.6\r\n", 400),
]
