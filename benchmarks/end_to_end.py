"""From 2xx to visible in `cases list`: how long a failure takes through all four stages.

    .venv/bin/python benchmarks/end_to_end.py [--rate 20] [--seconds 30] [--on embedded kafka]

Settle time 0, the real model. Every failure is about something else, so that each becomes a case.
On Kafka it starts its own broker (deploy/kafka) and PostgreSQL, and each service is a process.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from workload import encoded, make_trace, server

from services.settings import load_settings
from services.store.open import open_store

_POLL_SECONDS = 0.05
JSON = {"content-type": "application/json"}


async def measure(url: str, environment: dict[str, str], rate: int, seconds: int) -> list[float]:
    """Seconds from each acknowledgement until the trace's case is in the list."""
    store = open_store(load_settings(**environment))
    acknowledged: dict[str, float] = {}
    visible: dict[str, float] = {}
    total = rate * seconds

    async def post() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            start = time.monotonic()
            for number in range(total):
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
                trace = make_trace(number, failing=True, project="end-to-end")
                body = encoded([trace])
                answer = await client.post(f"{url}/v1/captures", content=body, headers=JSON)
                answer.raise_for_status()
                acknowledged[trace["trace_id"]] = time.monotonic()

    posting = asyncio.create_task(post())
    deadline = time.monotonic() + seconds + 60
    while time.monotonic() < deadline:
        cases = await store.reader.cases(project="end-to-end", case_set=None, limit=total)
        now = time.monotonic()
        for kept in cases:
            visible.setdefault(kept.case.provenance.trace_id, now)
        if posting.done() and (await store.reader.totals()).occurrences >= total:
            break
        await asyncio.sleep(_POLL_SECONDS)
    await posting
    await store.close()
    counted = {one: visible[one] - acknowledged[one] for one in visible if one in acknowledged}
    print(f"  {total} failures, {len(counted)} of them made a case; the others were counted")
    return list(counted.values())[len(counted) // 10 :]


def wait_for_model(log: Path, seconds: float = 120) -> None:
    """Until the deduper says that its model is loaded."""
    deadline = time.monotonic() + seconds
    while "embedding_model_loaded" not in log.read_text():
        if time.monotonic() > deadline:
            message = f"no model after {seconds} s: {log.read_text()[-2000:]}"
            raise TimeoutError(message)
        time.sleep(0.2)


@contextlib.contextmanager
def embedded() -> Iterator[tuple[str, dict[str, str]]]:
    """All four in one process on SQLite."""
    with server("up", log_level="INFO", log="up.log") as (url, _, home):
        wait_for_model(home / "up.log")
        yield url, {"home": str(home)}
