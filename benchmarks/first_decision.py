"""How soon the dedup service decides after its process has begun, by how many patterns there are.

    .venv/bin/python benchmarks/first_decision.py [--patterns 100000] [--model hashing] [--rounds 3]

A project with so many patterns, of random directions, is written to a SQLite store in a temporary
folder. Then a new process is started, as the service is: it opens the store, loads the model in its
worker, and decides about one new text. Once without the file of the index, which it then fills from the
store, and --rounds times with it. Seconds are from the start of the process, and CPU seconds those of the
process that serves: the model is the worker's.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

_CHUNK = 10_000
_PROJECT = "large"
_GUARD = "model|"


async def fill(home: Path, model: str, patterns: int) -> None:
    """Write the store, and leave no index file."""
    import numpy as np  # noqa: PLC0415 - the process that is measured imports what it needs, and when

    from dedup.geometry import Geometry  # noqa: PLC0415
    from dedup.policy import TextPolicy  # noqa: PLC0415
    from services.pattern_store import Kept, Serving, Sum  # noqa: PLC0415
    from services.spaces import space_of  # noqa: PLC0415
    from services.store.open import open_store  # noqa: PLC0415
    from services.wiring import encoders_of  # noqa: PLC0415

    settings = _settings(home, model)
    store, encoders = open_store(settings), encoders_of(settings)
    await store.upgrade()
    await encoders.ready()
    embedder = await encoders.of(encoders.configured)
    (vector,) = await embedder.embed(["one text"])
    width, text = len(vector), TextPolicy()
    space = space_of(encoders.configured, text)
    async with store.patterns.locked(_PROJECT) as writer:
        by = {"by": "", "reason": "", "at": _now()}
        encoder = encoders.configured
        await writer.serve(Serving(ordinal=1, space=space, encoder=encoder, text=text, **by))
        geometry = Geometry(1, np.zeros(width, np.float32))
        seen = Sum(max(patterns, 10_000), np.zeros(width))  # from there on the centre stays
        await writer.keep(Kept(space=space, decided=(), sum=seen, geometry=geometry))
    for names, centroids in _drawn(patterns, width):
        await _add_patterns(store, names)
        async with store.patterns.locked(_PROJECT) as writer:
            await writer.keep(Kept(space=space, decided=(), centroids=centroids))
    await encoders.close()
    await store.close()


async def decide(home: Path, model: str, number: int) -> dict[str, float]:
    """In the process that is measured: seconds since its start, after each step."""
    began = psutil.Process().create_time()
    marks: dict[str, float] = {}

    def mark(step: str) -> None:
        marks[step] = time.time() - began

    from capture.events import FailingSignal, Failure  # noqa: PLC0415 - counted: a start imports it
    from capture.trace import Trace  # noqa: PLC0415
    from services.deduper import Deduper  # noqa: PLC0415
    from services.policy import Policies  # noqa: PLC0415
    from services.store.open import open_store  # noqa: PLC0415
    from services.stream.outcome import Emit  # noqa: PLC0415
    from services.wiring import encoders_of, indexes_of  # noqa: PLC0415

    mark("imported")
    settings = _settings(home, model)
    store, encoders, indexes = open_store(settings), encoders_of(settings), indexes_of(settings)
    encoders.start()
    await store.start()
    mark("store")
    policies = Policies(store.policies)
    deduper = Deduper(store.patterns, encoders, indexes, policies, clock=_now)
    await deduper.ready()
    mark("model")
    words = " ".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=40))
    signal = FailingSignal(name="solved", scorer="x/1", severity="high", reason="It was not.")
    failure = Failure(
        event_id=f"event-{number}",
        trace=Trace(trace_id=f"trace-{number}", project=_PROJECT, input=words, output="No."),
        signals=(signal,),
        severity="high",
        failed_at=_now(),
        fault="model",
    )
    (outcome,) = await deduper.handle([failure])
    mark("decided")
    if not isinstance(outcome, Emit):
        sys.exit(f"it was not decided: {outcome}")
    marks["cpu"] = time.process_time()
    marks["megabytes"] = psutil.Process().memory_info().rss / 1e6
    await indexes.close()
    await encoders.close()
    await store.close()
    return marks


def measured(home: Path, model: str, number: int) -> dict[str, float]:
    """The same, of a process of its own."""
    command = [sys.executable, __file__, "--home", str(home), "--model", model]
    done = subprocess.run(
        [*command, "--number", str(number)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    marks: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return marks


def show(what: str, marks: dict[str, float]) -> None:
    """A line."""
    steps = ", ".join(f"{step} {marks[step]:.2f}" for step in ("imported", "store", "model"))
    print(
        f"{what:24} {marks['decided']:6.2f} s ({steps}); {marks['cpu']:.2f} s of CPU, "
        f"{marks['megabytes']:.0f} MB",
        flush=True,
    )


def main() -> None:
    """Measure, or be what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patterns", type=int, default=100_000)
    parser.add_argument("--model", default="hashing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.home is not None:
        print(json.dumps(asyncio.run(decide(given.home, given.model, given.number))))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        began = time.perf_counter()
        asyncio.run(fill(home, given.model, given.patterns))
        size = sum(file.stat().st_size for file in home.glob("store.db*")) / 1e6
        print(
            f"{given.patterns} patterns, a store of {size:.0f} MB written in "
            f"{time.perf_counter() - began:.0f} s; {given.model}; {os.cpu_count()} cores"
        )
        show("without an index file", measured(home, given.model, 1))
        for number in range(given.rounds):
            show("with one", measured(home, given.model, 2 + number))


def _settings(home: Path, model: str) -> Any:
    from services.settings import Settings  # noqa: PLC0415

    return Settings(home=home, embedding_model=model)


def _now() -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime(2026, 1, 2, tzinfo=UTC)


def _drawn(patterns: int, width: int) -> Iterator[tuple[list[str], dict[str, Any]]]:
    import numpy as np  # noqa: PLC0415

    from dedup.centroid import Centroid  # noqa: PLC0415

    rng = np.random.default_rng(1)
    for start in range(0, patterns, _CHUNK):
        rows = rng.standard_normal((min(_CHUNK, patterns - start), width)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        names = [f"pattern-{start + n}" for n in range(len(rows))]
        yield (
            names,
            {name: (_GUARD, Centroid(row, 1)) for name, row in zip(names, rows, strict=True)},
        )


async def _add_patterns(store: Any, names: list[str]) -> None:
    """The rows that centroids belong to."""
    from sqlalchemy import insert  # noqa: PLC0415

    from services.store.tables import pattern  # noqa: PLC0415

    rows = [
        {
            "project": _PROJECT,
            "pattern_id": name,
            "space": "",
            "text": "",
            "event_id": f"of-{name}",
            "trace_id": f"of-{name}",
            "occurrences": 1,
            "first_failed_at": _now(),
            "last_failed_at": _now(),
            "fault": "model",
            "guard": _GUARD,
            "root": name,
        }
        for name in names
    ]
    await store._database.write(  # noqa: SLF001 - there is no such question in the product
        lambda connection: connection.execute(insert(pattern), rows)
    )


if __name__ == "__main__":
    main()
