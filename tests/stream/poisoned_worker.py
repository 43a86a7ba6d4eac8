"""A worker that kills itself over one event. Run again until it exits with 0."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from capture.events import TraceReceived
from capture.trace import Trace
from services.settings import Settings
from services.store.open import open_store
from services.stream import envelope
from services.stream.loop import Loop
from services.stream.loop_settings import LoopSettings
from services.stream.open import open_stream
from services.stream.outcome import Emit
from services.telemetry import Metrics, configure_logging


class Killed:
    """A stage whose process dies over the poison."""

    accepts = (object,)

    async def ready(self):
        """Nothing to wait for."""

    async def handle(self, events):
        """Pass everything on, and die of the poison."""
        if any(event.event_id == "e-2.poison" for event in events):
            os.kill(os.getpid(), signal.SIGKILL)
        return [Emit(event) for event in events]


async def main(home: Path) -> None:
    """Publish once, then work until everything has been decided."""
    configure_logging("json", "WARNING")
    settings = Settings(home=home)
    stream, store = open_stream(settings), open_store(settings)
    if not (home / "store.db").exists():
        await store.upgrade()
    await stream.start()
    if (await stream.lag("in", "worker")).total == 0:
        names = ["e-0", "e-1", "e-2.poison", "e-2", "e-3"]
        traces = {name: Trace(trace_id=name, project="p") for name in names}
        events = [TraceReceived(event_id=name, trace=trace) for name, trace in traces.items()]
        await stream.publish([envelope.encode(event, "in") for event in events])
    loop = Loop(
        LoopSettings("worker", "worker", "out", "in.dlq", 1 << 20, max_attempts=2),
        source=stream.source("in", "worker"),
        publisher=stream,
        handler=Killed(),
        attempts=store.attempts,
        metrics=Metrics().stage("worker"),
    )
    working = asyncio.create_task(loop.run())
    while (await stream.lag("in", "worker")).waiting:  # noqa: ASYNC110 - the file is what counts
        await asyncio.sleep(0.01)
    loop.stop()
    await working
    out = {record.header("event_id") for record in await stream.browse("out", limit=99)}
    print("out", *sorted(out))  # noqa: T201 - read by the test
    for letter in await stream.browse("in.dlq", limit=99):
        print("parked", letter.header("event_id"), letter.header("dlq.reason"))  # noqa: T201
    await stream.close()
    await store.close()


asyncio.run(main(Path(sys.argv[1])))
