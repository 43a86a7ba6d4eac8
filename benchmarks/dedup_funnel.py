"""What dedup's handler costs, by the step that decides, and how soon it decides after a start.

Run: `python benchmarks/dedup_funnel.py [PATTERNS]`. CPU milliseconds a failure of the process that serves
(all its threads; the model's worker is another process and apart), batches of 128 as the service takes
them, SQLite in a temporary folder, the `hashing` encoder: what the model takes is the business of
`embedding.py`. PATTERNS (10,000) are in the project before it starts, for the last two lines.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from capture.events import FailingSignal, Failure
from capture.trace import Trace
from dedup.centroid import Centroid
from dedup.geometry import Geometry
from dedup.policy import TextPolicy
from services.deduper import Deduper
from services.encoders import Encoders
from services.indexes import Indexes
from services.pattern_store import Kept, Serving, Sum
from services.policy import Policies
from services.settings import Settings
from services.spaces import space_of
from services.store.open import Store, open_store
from services.stream.outcome import Emit
from services.wiring import encoders_of, indexes_of

BATCH = 128
BATCHES = 15
SETTLED = 10_000  # texts, from which on the centre stays where it is
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIGNAL = FailingSignal(name="solved", scorer="x/1", severity="high", reason="It was not solved.")
SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "pra", "ste", "vi", "zo", "tru", "gal", "hem")


def words(rng: random.Random, number: int) -> str:
    """So many words that nobody has written before."""
    return " ".join("".join(rng.choices(SYLLABLES, k=3)) for _ in range(number))


def failure(number: int, text: str, project: str = "support") -> Failure:
    """A failure of about 100 tokens."""
    trace = Trace(
        trace_id=f"trace-{number}",
        project=project,
        input=text,
        output="I am afraid that I cannot help you with that. " * 3,
    )
    return Failure(
        event_id=f"event-{number}",
        trace=trace,
        signals=(SIGNAL,),
        severity="high",
        failed_at=NOW,
        fault="model",
    )


def batches(failures: Sequence[Failure]) -> Iterator[Sequence[Failure]]:
    """As the service takes them."""
    for start in range(0, len(failures), BATCH):
        yield failures[start : start + BATCH]


async def cost(deduper: Deduper, failures: Sequence[Failure]) -> float:
    """CPU milliseconds a failure, after one batch to warm up."""
    first, *rest = batches(failures)
    await deduper.handle(first)
    began = time.process_time()
    for batch in rest:
        outcomes = await deduper.handle(batch)
        if not all(isinstance(outcome, Emit) for outcome in outcomes):
            sys.exit("a failure got no pattern")
    return (time.process_time() - began) * 1000 / (len(failures) - len(first))


def made(store: Store, encoders: Encoders, indexes: Indexes) -> Deduper:
    """The handler as the service makes it."""
    return Deduper(store.patterns, encoders, indexes, Policies(store.policies), clock=lambda: NOW)


async def steps(store: Store, encoders: Encoders, indexes: Indexes) -> None:
    """A line for each step that can decide."""
    rng = random.Random(1)
    size = BATCH * (BATCHES + 1)
    texts = [f"order {n} of {words(rng, 60)}" for n in range(40)]
    deduper = made(store, encoders, indexes)
    await deduper.handle([failure(n, text) for n, text in enumerate(texts)])
    known = [failure(1_000 + n, rng.choice(texts)) for n in range(size)]
    print(f"{'known fingerprint':28} {await cost(deduper, known):8.3f} ms")
    print(f"{'delivered again':28} {await cost(deduper, known):8.3f} ms")
    new = [failure(100_000 + n, words(rng, 60)) for n in range(size)]
    print(f"{'new text':28} {await cost(deduper, new):8.3f} ms")
    await forget_fingerprints(store)
    cached = [failure(200_000 + n, str(one.trace.input)) for n, one in enumerate(new)]
    print(f"{'cached embedding':28} {await cost(deduper, cached):8.3f} ms")


async def forget_fingerprints(store: Store) -> None:
    """So that the vectors alone are known, as after a switch of the text policy and back."""
    from sqlalchemy import delete  # noqa: PLC0415 - this benchmark's trick alone

    from services.store.tables import pattern_fingerprint  # noqa: PLC0415 - the same

    await store._database.write(  # noqa: SLF001 - there is no such question in the product
        lambda connection: connection.execute(delete(pattern_fingerprint))
    )


async def fill(store: Store, encoder: str, patterns: int) -> None:
    """A project with so many patterns, of random directions."""
    rng = np.random.default_rng(1)
    text = TextPolicy()
    space = space_of(encoder, text)
    async with store.patterns.locked("large") as writer:
        await writer.serve(
            Serving(ordinal=1, space=space, encoder=encoder, text=text, by="", reason="", at=NOW)
        )
        geometry = Geometry(1, np.zeros(256, np.float32))
        seen = Sum(max(patterns, SETTLED), np.zeros(256))
        await writer.keep(Kept(space=space, decided=(), sum=seen, geometry=geometry))
    await add_patterns(store, patterns)
    for start in range(0, patterns, 10_000):
        count = min(10_000, patterns - start)
        rows = rng.standard_normal((count, 256)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        centroids = {
            f"pattern-{start + n}": ("model|", Centroid(row, 1)) for n, row in enumerate(rows)
        }
        async with store.patterns.locked("large") as writer:
            await writer.keep(Kept(space=space, decided=(), centroids=centroids))


async def add_patterns(store: Store, patterns: int) -> None:
    """The rows that centroids belong to."""
    from sqlalchemy import insert  # noqa: PLC0415 - as above

    from services.store.tables import pattern  # noqa: PLC0415 - as above

    rows = [
        {
            "project": "large",
            "pattern_id": f"pattern-{n}",
            "space": "",
            "text": "",
            "event_id": f"of-{n}",
            "trace_id": f"of-{n}",
            "occurrences": 1,
            "first_failed_at": NOW,
            "last_failed_at": NOW,
            "fault": "model",
            "guard": "model|",
            "root": f"pattern-{n}",
        }
        for n in range(patterns)
    ]
    await store._database.write(  # noqa: SLF001 - as above
        lambda connection: connection.execute(insert(pattern), rows)
    )


async def first_decision(settings: Settings, number: int) -> float:
    """Seconds from opening everything to a decision on a new text in the large project."""
    rng = random.Random(number)
    began = time.perf_counter()
    store, encoders, indexes = open_store(settings), encoders_of(settings), indexes_of(settings)
    encoders.start()
    await store.start()
    deduper = made(store, encoders, indexes)
    await deduper.ready()
    await deduper.handle([failure(number, words(rng, 60), "large")])
    seconds = time.perf_counter() - began
    await indexes.close()
    await encoders.close()
    await store.close()
    return seconds


async def main(patterns: int) -> None:
    """Print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), embedding_model="hashing")
        store, encoders, indexes = open_store(settings), encoders_of(settings), indexes_of(settings)
        await store.upgrade()
        await encoders.ready()
        print(f"CPU a failure, batches of {BATCH}:")
        await steps(store, encoders, indexes)
        await fill(store, encoders.configured, patterns)
        await encoders.close()
        await store.close()
        print(f"start to first decision, {patterns} patterns:")
        print(f"{'without an index file':28} {await first_decision(settings, 900_000):8.2f} s")
        print(f"{'with one':28} {await first_decision(settings, 900_001):8.2f} s")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
