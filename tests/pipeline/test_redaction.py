"""Nothing personal that was sent is kept anywhere: not in a topic, a table, an archive or a log line."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CORPUS = Path(__file__).parent.parent / "capture" / "redaction" / "corpus.jsonl"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
NOT_OK = 2  # STATUS_CODE_ERROR


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, str]]:
    return [json.loads(line) for line in CORPUS.read_text().splitlines()]


def _native(number: int, text: str) -> dict[str, Any]:
    """A failing trace that says the text everywhere it can."""
    return {
        "trace_id": f"native-{number}",
        "project": "private",
        "user_id": text,
        "session_id": text,
        "input": text,
        "output": {"said": text, text: [text]},
        "steps": [
            {"type": "tool_call", "name": "f", "arguments": json.dumps({"q": text})},
            {"type": "tool_result", "content": text, "error": text},
        ],
        "signals": [{"name": "task_resolved", "value": 0, "source": "o", "comment": text}],
        "metadata": {"error.type": "E", "error.message": text},
    }


def _otlp(number: int, text: str) -> ExportTraceServiceRequest:
    """A failing trace of one span, as exporters send it."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for name, value in (("service.name", "private"), ("host.name", text)):
        resource.resource.attributes.add(key=name).value.string_value = value
    span = resource.scope_spans.add().spans.add()
    span.trace_id, span.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
    span.name, span.start_time_unix_nano, span.end_time_unix_nano = text, 10**18, 10**18 + 5
    span.status.code, span.status.message = NOT_OK, text
    said = json.dumps([{"role": "user", "content": text}])
    for name, value in (("input.value", text), ("gen_ai.input.messages", said), ("user.id", text)):
        span.attributes.add(key=name).value.string_value = value
    event = span.events.add(name="exception")
    event.attributes.add(key="exception.message").value.string_value = text
    return request


def _send(client: httpx.Client, corpus: list[dict[str, str]]) -> None:
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - only here

    for start in range(0, len(corpus), 20):
        batch = list(enumerate(corpus))[start : start + 20]
        traces = [_native(number, entry["text"]) for number, entry in batch]
        client.post("/v1/captures", json={"traces": traces}).raise_for_status()
        feedback = [
            {
                "project": "private",
                "trace_id": f"native-{number}",
                "name": "thumbs",
                "value": entry["text"],
                "comment": entry["text"],
            }
            for number, entry in batch
        ]
        client.post("/v1/feedback", json={"feedback": feedback}).raise_for_status()
        for number, entry in batch:
            message = _otlp(1000 + number, entry["text"])
            kind = {"content-type": "application/x-protobuf"}
            body = message.SerializeToString()
            client.post("/v1/traces", content=body, headers=kind).raise_for_status()
            told = MessageToDict(_otlp(2000 + number, entry["text"]))
            for key, value in (("traceId", 2000 + number), ("spanId", 2000 + number)):
                width = 32 if key == "traceId" else 16
                told["resourceSpans"][0]["scopeSpans"][0]["spans"][0][key] = f"{value:0{width}x}"
            client.post("/v1/traces", json=told).raise_for_status()


def _kept(home: Path) -> Iterator[tuple[str, str]]:
    """Everything every table of both files has, unpacked, as text."""
    for name in ("stream.db", "store.db"):
        with sqlite3.connect(home / name) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                for row in connection.execute(f"SELECT * FROM [{table}]"):  # noqa: S608 - our own names
                    for value in row:
                        yield f"{name}:{table}", _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    unpacked = [value]
    at = value.find(ZSTD_MAGIC)
    while at >= 0:  # archived pieces may lie behind a header, several in one value
        part = zstandard.ZstdDecompressor().decompressobj()
        with contextlib.suppress(zstandard.ZstdError):
            unpacked.append(part.decompress(value[at:]))
        at = value.find(ZSTD_MAGIC, at + 4)
    return "\n".join(part.decode("utf-8", "replace") for part in unpacked)


def _forms(value: str) -> set[str]:
    """A value as it is, and as JSON in any depth has it."""
    once = json.dumps(value)[1:-1]
    plain = msgspec.json.encode(value).decode()[1:-1]
    return {value, once, json.dumps(once)[1:-1], plain, json.dumps(plain)[1:-1]}


@pytest.mark.slow
def test_nothing_of_the_corpus_is_kept_or_logged(
    embedded: Mapping[str, str],
    start_service: Callable[..., Any],
    wait_until_listening: Callable[[str], None],
    asking: Callable[..., Any],
    corpus: list[dict[str, str]],
) -> None:
    environment = {**embedded, "EVALRATCHET_LOG_LEVEL": "DEBUG"}
    url = f"http://{environment['EVALRATCHET_LISTEN']}"
    service = start_service("up", environment=environment)
    wait_until_listening(url)
    with httpx.Client(base_url=url, timeout=60) as client:
        _send(client, corpus)
        asked = asking(environment)
        asked.wait_until_all_is_in()
        metrics = client.get("/metrics").text
    assert asked.json("cases", "list", "--project", "private", "--limit", "10000"), "nothing failed"
    for kind in {entry["kind"] for entry in corpus}:
        assert f'evalratchet_redactions_total{{kind="{kind}"}}' in metrics
    service.terminate()
    kept = [*_kept(Path(environment["EVALRATCHET_HOME"])), ("log", service.log())]
    assert any("<EMAIL_1>" in text for _, text in kept), "no failure has its numbered placeholders"
    for entry in corpus:
        for form in _forms(entry["value"]):
            places = {place for place, text in kept if form in text}
            assert not places, (entry, places)
