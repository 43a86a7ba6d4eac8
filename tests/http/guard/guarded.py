"""An application as it would be served, with a real store and keys for it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from services.collector import Collector
from services.guarding import remembering
from services.http.app import create_capture_app
from services.keys import Scope, drawn
from services.redaction import Unredacted
from services.settings import Settings
from services.store.open import Store
from services.telemetry import Metrics

TRACE = {"trace_id": "t", "project": "shop"}


SPAN = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "s"}


PUBLIC = {"listen": "0.0.0.0:8321"}


def otlp(project: str | None = None, spans: Sequence[Any] = (SPAN,)) -> dict[str, Any]:
    attributes = [{"key": "service.name", "value": {"stringValue": "svc"}}]
    if project is not None:
        attributes.append({"key": "evalratchet.project", "value": {"stringValue": project}})
    scope = [{"spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": scope}]}


class World:
    """The application as it would be served, its store, and keys for it."""

    def __init__(self, store: Store, publisher: Any, home: Path) -> None:
        self.store = store
        self.publisher = publisher
        self.metrics = Metrics()
        self._home = home
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.known: Any = None

    async def key(
        self, *scopes: Scope, project: str | None = "shop", days: float | None = None
    ) -> str:
        """A new key, known to the application when it is made afterwards."""
        expires = None if days is None else self.now + timedelta(days=days)
        record, key = drawn(
            project=project,
            name="k",
            scopes=scopes or ("ingest",),
            now=self.now,
            expires_at=expires,
        )
        await self.store.keys.add(record)
        if self.known is not None:
            await self.known.ring.refresh()
        return key

    async def client(self, address: str = "10.1.2.3", **set_to: Any) -> httpx.AsyncClient:
        """A client of the application with these settings, from an address."""
        settings = Settings(
            home=self._home,
            **{"max_trace_bytes": 20_000, "max_request_bytes": 200_000, **set_to},
        )
        self.known = await remembering(settings, self.store, lambda: self.now)
        collector = Collector(
            self.publisher, Unredacted(), topic="traces", max_message_bytes=100_000
        )
        app = create_capture_app(collector, settings, metrics=self.metrics, remembering=self.known)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://capture")

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0
