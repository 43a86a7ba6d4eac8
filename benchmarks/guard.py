"""What the guard adds to a request: CPU time in this process, without a socket.

    .venv/bin/python benchmarks/guard.py

Calls an ASGI application that only answers, bare and behind the guard, and prints the difference in
microseconds a request, best of several rounds: without keys, with a key, with a key and a rate.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.http.guard import Guard, Guarding
from services.http.inflight import Budget
from services.http.rate import Buckets
from services.key_ring import KeyRing
from services.keys import KeyRecord, drawn
from services.telemetry import Metrics

REQUESTS = 20_000
ROUNDS = 7
HEADERS = [
    (b"host", b"127.0.0.1:8321"),
    (b"user-agent", b"OTel-OTLP-Exporter-Python/1.39.1"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept", b"*/*"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"application/x-protobuf"),
    (b"content-length", b"2748"),
    (b"content-encoding", b"gzip"),
]
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
BODY = {"type": "http.response.body", "body": b""}


class OneKey:
    """A store of one key."""

    def __init__(self, record: KeyRecord) -> None:
        """Keep it."""
        self.record = record

    async def changed_since(self, _: int) -> tuple[int, Sequence[KeyRecord]]:
        """All there is."""
        return 1, [self.record]

    async def used(self, _: Sequence[tuple[str, datetime]]) -> None:
        """Forget it."""


async def answering(_: Any, __: Any, send: Any) -> None:
    """An application that only answers."""
    await send(dict(START))
    await send(BODY)


async def sent(_: Any) -> None:
    """Where answers go."""


async def microseconds(app: Any, headers: Sequence[tuple[bytes, bytes]]) -> float:
    """CPU time of one request, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REQUESTS):
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/v1/traces",
                "headers": [*HEADERS, *headers],
                "client": ("127.0.0.1", 40000),
            }
            await app(scope, None, sent)
        best = min(best, (time.process_time() - began) / REQUESTS * 1e6)
    return best


async def main() -> None:
    """Measure and print."""
    record, key = drawn(
        project="shop", name="", scopes=["ingest"], now=datetime.now(UTC), expires_at=None
    )
    ring = KeyRing(OneKey(record), clock=lambda: datetime.now(UTC))
    await ring.refresh()
    authorization = [(b"authorization", f"Bearer {key}".encode())]

    def guard(**changed: Any) -> Guard:
        settings = {"budget": Budget(1 << 28), "grace_seconds": 20.0, "min_bytes_per_second": 4096}
        guarding = Guarding(ring=ring, **{**settings, **changed})
        return Guard(answering, guarding, Metrics(), frozenset({"/v1/traces"}))

    bare = await microseconds(answering, [])
    print(f"bare application           {bare:6.2f} us")
    for name, app, headers in (
        ("guard, no key", guard(), []),
        ("guard, a key", guard(required=True), authorization),
        (
            "guard, a key, a rate",
            guard(required=True, buckets=Buckets(1e9, 1 << 30)),
            authorization,
        ),
    ):
        total = await microseconds(app, headers)
        print(f"{name:26} {total:6.2f} us, added {total - bare:5.2f} us")


if __name__ == "__main__":
    asyncio.run(main())
