"""What it costs to archive, settle and score a span, and what the archive takes on the disk.

    .venv/bin/python benchmarks/archive.py                  # CPU a span, step by step
    .venv/bin/python benchmarks/archive.py --days 10        # the file's size over simulated days
    .venv/bin/python benchmarks/archive.py --packing        # zstd and LZ4, by level, on the same pieces

Spans are those of `benchmarks/spans.py`'s agent in shape and size: ten a trace, 2.7 kB each, one piece
a trace, a hundred in a request. CPU is this process's, all threads.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cramjam
import zstandard

from capture.assemble import assemble, is_complete
from capture.events import Span, SpansReceived
from capture.ids import sealed
from services.archive import ArchivedPiece, Settled, Verdict
from services.examiner import ScorerExaminer
from services.intake import Intake, received
from services.policy import Policies
from services.scorer import Scoring
from services.settling import Settling
from services.store.open import Store
from services.stream import envelope
from services.stream.port import Record

_SPANS = 10
_BATCH = 100  # pieces: what intake gathers in 50 ms at 8,000 spans a second is 40
_HOUR_MS = 3_600_000
_WORDS = (  # with a number behind most of them, some 600 words
    *("parcel", "order", "refund", "late", "customer", "address", "tracking", "number", "please"),
    *("card", "payment", "charged", "invoice", "account", "password", "policy", "label", "box"),
    *("the", "my", "is", "not"),
)


def piece(rng: random.Random) -> SpansReceived:
    """A trace of ten model calls in one piece."""
    names = [rng.randbytes(8).hex() for _ in range(_SPANS)]
    start = 1_780_000_000_000_000_000 + rng.randrange(10**12)
    spans = tuple(
        Span(
            span_id=name,
            parent_span_id=None if place == 0 else names[0],
            name="chat gpt-4o",
            kind=3,
            start_ns=start + place * 10**6,
            end_ns=start + 10**9,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 600,
                "gen_ai.usage.output_tokens": 80,
                "gen_ai.input.messages": _message("user", _text(rng, 1400)),
                "gen_ai.output.messages": _message("assistant", _text(rng, 900)),
            },
        )
        for place, name in enumerate(names)
    )
    made = SpansReceived(
        event_id="",
        project="shop",
        trace_id=rng.randbytes(16).hex(),
        resource={"service.name": "shop"},
        spans=spans,
    )
    return envelope.decode_body("spans/1", sealed(made)[1])  # type: ignore[no-any-return]


def _record(place: int, one: SpansReceived) -> Record:
    message = envelope.encode(one, "traces")
    return Record("traces", 0, place, message.key, message.value, message.headers, 0)


def _text(rng: random.Random, size: int) -> str:
    words: list[str] = []
    length = 0
    while length < size:
        words.append(f"{rng.choice(_WORDS)}{rng.randrange(30) or ''}")
        length += len(words[-1]) + 1
    return " ".join(words)


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        """Begin at some time."""
        self.ms = 1_780_000_000_000

    def __call__(self) -> int:
        """The time in ms."""
        return self.ms

    def utc(self) -> datetime:
        """The same as a moment."""
        return datetime.fromtimestamp(self.ms / 1000, tz=UTC)


async def steps(folder: Path, traces: int) -> None:
    """CPU a span of intake, settling, scoring and the verdict."""
    store, clock = Store(f"sqlite:///{folder / 'store.db'}"), Clock()
    await store.upgrade()
    rng = random.Random(4)
    pieces = [piece(rng) for _ in range(traces)]
    arrived = [_record(place, one) for place, one in enumerate(pieces)]
    spent: dict[str, float] = {}
    intake = Intake(store.archive, settle_seconds=0, clock_ms=clock)
    settling = Settling(store.archive, "traces", settle_seconds=0, clock_ms=clock)
    scoring = Scoring(
        Policies(store.policies), ScorerExaminer(), clock=clock.utc, on_verdict=settling.found
    )

    async def timed(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        began = time.process_time()
        done = await work()
        spent[name] = spent.get(name, 0.0) + time.process_time() - began
        return done

    for start in range(0, traces, _BATCH):
        some = arrived[start : start + _BATCH]

        async def decode(some: Sequence[Record] = some) -> Any:
            return [received(record) for record in some]

        events = await timed("decode", decode)
        await timed("archive", lambda events=events: intake.handle(events))
        clock.ms += 1000
        records = await timed("claim", lambda: settling.fetch(limit=_BATCH, wait_seconds=0))

        async def read(records: Sequence[Any] = records) -> Any:
            return [envelope.decode(record) for record in records]

        settled = await timed("claim", read)
        await timed("decode, assemble, score", lambda events=settled: scoring.handle(events))
        await timed("settle", lambda records=records: settling.commit(records))
    _, assembling = _cpu(lambda: [(is_complete([one]), assemble([one])) for one in pieces])
    spans = traces * _SPANS
    for name, seconds in spent.items():
        print(f"{name:32} {seconds / spans * 1e6:7.1f} us a span")
    print(f"{'  of it: assemble':32} {assembling / spans * 1e6:7.1f} us a span")
    print(f"{'together':32} {sum(spent.values()) / spans * 1e6:7.1f} us a span")
    size = await store.traces.size()
    print(f"{'on the disk':32} {size.bytes / spans:7.0f} bytes a span")
    await store.close()


async def days(folder: Path, count: int, traces_an_hour: int) -> None:
    """The file's size, with a retention of two days."""
    file = folder / "store.db"
    store, clock = Store(f"sqlite:///{file}"), Clock()
    await store.upgrade()
    rng = random.Random(4)
    for day in range(count):
        worst = 0.0
        for _ in range(24):
            clock.ms += _HOUR_MS
            for start in range(0, traces_an_hour, _BATCH):
                some = [_archived(piece(rng)) for _ in range(min(_BATCH, traces_an_hour - start))]
                await store.archive.add(some, now_ms=clock.ms, due_ms=clock.ms)
            while (claim := await store.archive.claim_due(now_ms=clock.ms, limit=200)).traces:
                verdicts = [Verdict(state="passed")] * len(claim.traces)
                await claim.settle(verdicts, Settled(clock.ms, clock.ms))
            await claim.abandon()
            began = time.perf_counter()
            before = clock.ms - 48 * _HOUR_MS
            await store.archive.expire(now_ms=clock.ms, before_ms=before)
            worst = max(worst, time.perf_counter() - began)
        size = await store.traces.size()
        print(
            f"day {day + 1:2}: file {file.stat().st_size / 1e6:7.1f} MB, in use "
            f"{size.bytes / 1e6:7.1f} MB, {size.chunks} chunks, longest expiry {worst * 1e3:.0f} ms"
        )
    await store.close()


def _archived(one: SpansReceived) -> ArchivedPiece:
    body = envelope.encode_body(one)
    spans = tuple(span.span_id for span in one.spans)
    return ArchivedPiece(one.project, one.trace_id, one.event_id, "spans/1", body, spans)


def packing() -> None:
    """Ratio and CPU of packing, for pieces of one span and of ten."""
    rng = random.Random(4)
    whole = [piece(rng) for _ in range(300)]
    for spans in (1, _SPANS):
        bodies = [_cut(one, spans) for one in whole]
        size = sum(map(len, bodies))
        ways: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
            "LZ4": (
                lambda body: bytes(cramjam.lz4.compress_block(body)),
                lambda body: bytes(cramjam.lz4.decompress_block(body)),
            )
        }
        unpack = zstandard.ZstdDecompressor().decompress
        for level in (-3, -1, 1, 2, 3):
            ways[f"zstd {level}"] = (zstandard.ZstdCompressor(level=level).compress, unpack)
        learnt = zstandard.train_dictionary(32 << 10, bodies[:150])
        learnt.precompute_compress(level=1)
        ways["zstd 1, dictionary"] = (
            zstandard.ZstdCompressor(level=1, dict_data=learnt).compress,
            zstandard.ZstdDecompressor(dict_data=learnt).decompress,
        )
        for name, (pack, back) in ways.items():
            packed, seconds = _cpu(lambda pack=pack, bodies=bodies: [pack(body) for body in bodies])
            _, again = _cpu(lambda back=back, packed=packed: [back(body) for body in packed])
            each = len(bodies) * spans
            print(
                f"{size // len(bodies):6} bytes, {name:20} {size / sum(map(len, packed)):.2f} times "
                f"smaller, pack {seconds / each * 1e6:5.1f}, unpack {again / each * 1e6:4.1f} us a span"
            )


def _cut(one: SpansReceived, spans: int) -> bytes:
    made = SpansReceived(
        event_id=one.event_id, project=one.project, trace_id=one.trace_id, spans=one.spans[:spans]
    )
    return envelope.encode_body(made)


def _cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        done = work()
        best = min(best, time.process_time() - began)
    return done, best


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--days", type=int, default=0)
    parser.add_argument("--packing", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.packing:
            packing()
        elif asked.days:
            asyncio.run(days(Path(folder), asked.days, traces_an_hour=asked.traces // 10))
        else:
            asyncio.run(steps(Path(folder), asked.traces))


if __name__ == "__main__":
    main()
