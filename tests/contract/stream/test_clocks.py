"""Clients' clocks are fields of what they say, never the time of a record.

Kafka refuses timestamps more than an hour ahead, and deletes by them.
"""

import time

import httpx
import pytest

from services.collector import Collector
from services.http.app import create_capture_app
from services.redaction import Unredacted
from services.stream import envelope
from services.stream.topics import Topics
from services.telemetry import Metrics

CLOCKS = [
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "2099-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z",
]


@pytest.mark.parametrize("clock", CLOCKS)
async def test_a_trace_from_any_clock_has_the_servers_time(installation, drain, clock):
    stream = await installation.open()
    topics = Topics(installation.settings.topic_prefix)
    await stream.apply_topics(
        topics.all(partitions=1, retention_ms=3_600_000, max_trace_bytes=64 * 1024)
    )
    collector = Collector(
        stream,
        Unredacted(),
        topic=topics.traces(),
        max_message_bytes=installation.max_message_bytes,
    )
    app = create_capture_app(collector, installation.settings, metrics=Metrics())
    nanoseconds = {"1970": 1, "0001": 0, "2099": 4_102_444_799 * 10**9}.get(clock[:4], 2**64 - 1)
    span = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "name": "s",
        "startTimeUnixNano": str(nanoseconds),
        "endTimeUnixNano": str(nanoseconds),
    }
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    trace = {"trace_id": "t", "project": "p", "started_at": clock}
    before_ms = time.time_ns() // 1_000_000
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://capture"
    ) as client:
        assert (await client.post("/v1/captures", json=trace)).status_code == 202
        assert (await client.post("/v1/traces", json=spans)).status_code == 200
    records = await drain(stream.source(topics.traces(), installation.group), 2)
    for record in records:
        assert before_ms - 1000 <= record.timestamp_ms <= time.time_ns() // 1_000_000 + 1000
    told = [event for event in map(envelope.decode, records) if hasattr(event, "trace")]
    assert told[0].trace.started_at.isoformat().startswith(clock[:10])
