"""The reference: what taking a span durably costs when nothing else is done with it.

Bare Starlette, every attribute decoded into a dict, one SQLite row a span, answered after the commit
(WAL, synchronous FULL). Concurrent requests share a commit. No redaction, no limits, no feedback.

    python bare.py PORT FILE
"""

import asyncio
import sqlite3
import sys
import threading
from queue import SimpleQueue
from typing import Any

import msgspec
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Row = tuple[str, str, str, int, int, bytes]
Job = tuple[list[Row], "asyncio.Future[None]", asyncio.AbstractEventLoop]


def write(file: str, jobs: "SimpleQueue[Job]") -> None:
    """Commit what has gathered, for ever."""
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA page_size=8192")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(
        "CREATE TABLE IF NOT EXISTS span"
        " (trace_id TEXT, span_id TEXT, name TEXT, start_ns INTEGER, end_ns INTEGER, attributes BLOB)"
    )
    while True:
        batch = [jobs.get()]
        while not jobs.empty():
            batch.append(jobs.get())
        db.execute("BEGIN IMMEDIATE")
        for rows, _, _ in batch:
            db.executemany("INSERT INTO span VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")
        for _, done, loop in batch:
            loop.call_soon_threadsafe(done.set_result, None)


def rows_of(body: bytes) -> list[Row]:
    """Every span of a request."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        (
            span.trace_id.hex(),
            span.span_id.hex(),
            span.name,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            msgspec.json.encode({pair.key: plain(pair.value) for pair in span.attributes}),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def plain(value: Any) -> Any:
    """An attribute's value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)


def main() -> None:
    """Serve."""
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=write, args=(sys.argv[2], jobs), daemon=True).start()

    async def traces(request: Request) -> Response:
        rows = rows_of(await request.body())
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        jobs.put((rows, done, loop))
        await done
        return Response(b"", media_type="application/x-protobuf")

    app = Starlette(routes=[Route("/v1/traces", traces, methods=["POST"])])
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning", loop="uvloop")


if __name__ == "__main__":
    main()
