"""From 2xx to visible in `cases list`: how long a failure takes through all four stages.

    .venv/bin/python benchmarks/end_to_end.py [--rate 20] [--seconds 30] [--on embedded kafka]

Settle time 0, the bundled model; every failure asks something else, so each is embedded. A failure
is visible once the list counts it: as a case of its own, or as one more occurrence of one. On Kafka
it starts its own broker and PostgreSQL (deploy/), and every service is a process.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
from workload import (
    COMMAND,
    ROOT,
    encoded,
    free_port,
    make_trace,
    percentile,
    server,
    wait_until_answers,
)

from services.settings import load_settings
from services.store.open import open_store

PROJECT = "end-to-end"
_POLL_SECONDS = 0.05
_MODEL_SECONDS = 180.0
JSON = {"content-type": "application/json"}


async def measure(url: str, rate: int, seconds: int) -> list[float]:
    """Seconds from the n-th acknowledgement until the list counts n failures, for every n."""
    store = open_store(load_settings())
    acknowledged: list[float] = []
    visible: list[float] = []
    total = rate * seconds

    async def post() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            start = time.monotonic()
            for number in range(total):
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
                body = encoded([make_trace(number, failing=True, project=PROJECT)])
                answer = await client.post(f"{url}/v1/captures", content=body, headers=JSON)
                answer.raise_for_status()
                acknowledged.append(time.monotonic())

    posting = asyncio.create_task(post())
    deadline = time.monotonic() + seconds + 60
    while time.monotonic() < deadline:
        cases = await store.reader.cases(project=PROJECT, case_set=None, limit=total)
        now = time.monotonic()
        counted = sum(kept.occurrences for kept in cases)
        visible += [now] * (counted - len(visible))
        if posting.done() and counted >= total:
            break
        await asyncio.sleep(_POLL_SECONDS)
    await posting
    await store.close()
    print(f"  {len(visible)} of {total} failures counted, {len(cases)} cases")
    waited = [seen - told for told, seen in zip(acknowledged, visible, strict=True)]
    return waited[total // 10 :]


def wait_for_model(log: Path) -> None:
    """Until the deduper says that its model is loaded."""
    deadline = time.monotonic() + _MODEL_SECONDS
    while "embedding_model_loaded" not in log.read_text():
        if time.monotonic() > deadline:
            message = f"no model after {_MODEL_SECONDS:.0f} s: {log.read_text()[-2000:]}"
            raise TimeoutError(message)
        time.sleep(0.2)


@contextlib.contextmanager
def embedded() -> Iterator[str]:
    """All four services in one process on SQLite."""
    with server("up") as (url, _, home):
        os.environ["EVALRATCHET_HOME"] = str(home)
        wait_until_answers(url)
        wait_for_model(home / "log")
        yield url


@contextlib.contextmanager
def kafka() -> Iterator[str]:
    """Each service a process, on a Kafka of one node and PostgreSQL, 8 partitions a topic."""
    with tempfile.TemporaryDirectory(prefix="evalratchet-bench-") as folder:
        cluster = script("deploy/kafka/local_kafka.py").Cluster(
            Path(folder) / "kafka", ROOT / ".kafka" / "libs"
        )
        with script("deploy/postgres/local_postgres.py").temporary() as postgres:
            cluster.start(nodes=1, port=0)
            address = f"127.0.0.1:{free_port()}"
            os.environ |= {
                "EVALRATCHET_STREAM": cluster.url,
                "EVALRATCHET_STORE": postgres.create(),
                "EVALRATCHET_TOPIC_PARTITIONS": "8",
                "EVALRATCHET_SETTLE_SECONDS": "0",
                "EVALRATCHET_LISTEN": address,
            }
            for command in (("db", "upgrade"), ("topics", "apply")):
                subprocess.run([COMMAND, *command], stdout=subprocess.DEVNULL, check=True)
            log = Path(folder) / "log"
            with log.open("w") as written:
                services = [
                    subprocess.Popen([COMMAND, "serve", name], stdout=written, stderr=written)
                    for name in ("capture", "dedup", "grade", "promote")
                ]
            try:
                wait_until_answers(f"http://{address}")
                wait_for_model(log)
                yield f"http://{address}"
            finally:
                for service in services:
                    service.terminate()
                for service in services:
                    service.wait(60)
                cluster.stop(wipe=True, gently=False)


def script(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--on", nargs="+", default=["embedded", "kafka"])
    chosen = parser.parse_args()
    for name in chosen.on:
        print(f"{name}, {chosen.rate} failures/s for {chosen.seconds} s:")
        with {"embedded": embedded, "kafka": kafka}[name]() as url:
            waited = asyncio.run(measure(url, chosen.rate, chosen.seconds))
        p50, p99 = percentile(waited, 0.5), percentile(waited, 0.99)
        print(f"  2xx to visible: p50 {p50:.2f} s, p99 {p99:.2f} s")


if __name__ == "__main__":
    main()
