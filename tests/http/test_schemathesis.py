"""Requests made from our own description, right ones and wrong ones: every answer is as described."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.collector import Collector
from services.http.app import Remembering, create_capture_app
from services.http.idempotency import Idempotency
from services.key_ring import KeyRing
from services.keys import KeyRecord, drawn
from services.pattern_changes import NotThere, PatternChange
from services.redaction import Unredacted
from services.settings import Settings
from services.stream.port import Message
from services.telemetry import Metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Nowhere:
    """A stream that takes everything and keeps nothing."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take it."""


class Memory:
    """Keys and what idempotency keys were used for, in memory."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.claimed: dict[str, bytes] = {}

    async def add(self, record: KeyRecord) -> None:
        self.records[record.key_id] = record

    async def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        return self.records.get(key_id)

    async def every(self, project: str | None = None) -> list[KeyRecord]:
        return list(self.records.values())

    async def changed_since(self, change: int) -> tuple[int, Sequence[KeyRecord]]:
        return 0, list(self.records.values())

    async def used(self, moments: Sequence[tuple[str, datetime]]) -> None:
        """Not kept."""

    async def claim(self, event_id: str, digest: bytes, *, at_ms: int) -> bytes:
        return self.claimed.setdefault(event_id, digest)

    async def get_or_make(self, name: str) -> bytes:
        return bytes(32)


class NoPatterns:
    """A store in which no pattern was ever made."""

    async def merge(self, project: str, into: str, *_: Any, **__: Any) -> PatternChange:
        raise NotThere(into)

    async def split(self, project: str, pattern_id: str, *_: Any, **__: Any) -> PatternChange:
        raise NotThere(pattern_id)

    async def name(self, project: str, pattern_id: str, *_: Any, **__: Any) -> PatternChange:
        raise NotThere(pattern_id)

    async def undo(self, project: str, change_id: str, **_: Any) -> PatternChange:
        raise NotThere(change_id)

    async def history(self, project: str | None, *, limit: int) -> Sequence[PatternChange]:
        return []


def make() -> tuple[Any, str]:
    """The application, and a key that may do everything."""
    memory = Memory()
    record, key = drawn(
        project=None,
        name="all",
        scopes=["ingest", "read", "review", "admin"],
        now=NOW,
        expires_at=None,
    )
    memory.records[record.key_id] = record
    # made when the tests are collected: keys do not grow stale until a test's turn comes
    ring = KeyRing(memory, clock=lambda: NOW, elapsed=lambda: 0.0)
    asyncio.run(ring.refresh())
    app = create_capture_app(
        Collector(Nowhere(), Unredacted(), topic="traces", max_message_bytes=1 << 20),
        Settings(home=Path("nowhere")),
        metrics=Metrics(),
        remembering=Remembering(
            keys=memory,
            ring=ring,
            idempotency=Idempotency(memory, memory.get_or_make, clock_ms=lambda: 0),
            changes=NoPatterns(),
        ),
    )
    return app, key


APP, KEY = make()
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schemathesis.serializer("application/x-protobuf")
def protobuf(_: Any, value: Any) -> bytes:
    """Whatever was made up, as bytes: what is none of protobuf is to be refused."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@pytest.mark.filterwarnings("default")
@SCHEMA.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case: Case) -> None:
    response = case.call(headers={"authorization": f"Bearer {KEY}"})
    case.validate_response(response, checks=CHECKS)
