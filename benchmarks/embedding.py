"""Embedding: the compiled model in its worker beside sentence-transformers, in one run.

Both embed the same texts on the same number of threads, in short turns one after the other, so that
whatever else the machine does meets both. Ours takes the whole way: gathering, the worker's process, and
back. Texts are the sample data's.

On a machine that has other work, threads that wait for each other lose more than threads that do not, which
flatters ours. So processor time is compared too, the peer's on one thread, where it waits for nothing: that
ratio is the least that two threads of a machine of its own can show.

Then the memory of a `serve dedup` that has seen no pattern yet.

    .venv/bin/python benchmarks/embedding.py [--threads 2] [--rounds 9] [--home DIR] [--json FILE]
"""

import argparse
import asyncio
import csv
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tokenizers import Tokenizer

from dedup.encoders.compiled import TOKENIZER_FILE, folders
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.weights import BUNDLED_MODEL, local_reference
from dedup.legible import legible
from services.embedder import WorkerEmbedder

LENGTHS = {20: 64, 100: 16, 250: 8}
"""Tokens of a text, and how many texts a turn has: half a second of the peer's processor time."""
_NICENESS = 10  # the worker's: the peer is to have no more of a busy machine than ours
_peer: Any = None


def load_peer(threads: int) -> float:
    """Load sentence-transformers as its documentation says; seconds."""
    global _peer  # noqa: PLW0603 - of the peer's process
    os.nice(_NICENESS)
    began = time.perf_counter()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch  # noqa: PLC0415 - part of what is measured
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - the same

    torch.set_num_threads(threads)
    reference = local_reference(BUNDLED_MODEL)
    assert reference is not None  # noqa: S101 - it is bundled
    _peer = SentenceTransformer(str(reference.folder), device="cpu")
    _peer.encode(["warm up"] * 8, show_progress_bar=False)
    return time.perf_counter() - began


def peer_encode(texts: list[str], batch: int, threads: int) -> tuple[np.ndarray, float]:
    """The peer's vectors, and the seconds of processor time that they took; it sorts by length itself."""
    import torch  # noqa: PLC0415 - as above

    torch.set_num_threads(threads)
    began = time.process_time()
    vectors: np.ndarray = _peer.encode(
        texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False
    )
    return vectors, time.process_time() - began


def real_texts(data: Path) -> list[str]:
    """What people asked and agents answered, of the sample data."""
    with (data / "dedup" / "banking.csv").open(encoding="utf-8", newline="") as rows:
        found = {row[0] for row in csv.reader(rows)}
    for line in (data / "traces" / "airline.jsonl").read_text("utf-8").splitlines():
        found.update(text for text in _strings(json.loads(line)) if 300 < len(text) < 4000)
    return sorted(found)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def cut_texts(
    tokenizer: Any, sources: list[str], tokens: int, count: int, rng: random.Random
) -> list[str]:
    """Real texts, the longer ones cut, 0.7 to 1.3 times so many tokens with what begins and ends them."""
    texts: list[str] = []

    def pieces(text: str) -> list[str]:
        read: list[str] = tokenizer.encode(text, add_special_tokens=False).tokens
        return read

    while len(texts) < count:
        wanted = min(256, round(tokens * rng.uniform(0.7, 1.3))) - 2
        text = rng.choice(sources)
        ends = tokenizer.encode(text, add_special_tokens=False).offsets
        if wanted <= len(ends) < 20 * wanted:
            cut = text[: ends[wanted - 1][1]]
            if cut not in texts and legible(
                cut, pieces, unknown="[UNK]"
            ):  # else it is not embedded
                texts.append(cut)
    return texts


class Turn:
    """Both over the same texts, one after the other."""

    def __init__(
        self, peer: ProcessPoolExecutor, ours: WorkerEmbedder, *, batch: int, threads: int
    ) -> None:
        """Both are loaded."""
        self._peer, self._ours, self._batch, self._threads = peer, ours, batch, threads

    async def of(self, texts: list[str]) -> dict[str, float]:
        """Seconds on the clock and of processor time for each text of both, and their cosines."""
        count = len(texts)
        began = time.perf_counter()
        theirs, _ = await self._peer_encode(texts, self._threads)
        peer_seconds = time.perf_counter() - began
        cpu = await self._cpu()
        began = time.perf_counter()
        mine = np.array(await self._ours.embed(texts))
        our_seconds = time.perf_counter() - began
        our_cpu = await self._cpu() - cpu
        _, peer_cpu = await self._peer_encode(texts, 1)
        cosines = (theirs * mine).sum(axis=1)
        return {
            "peer": peer_seconds / count,
            "ours": our_seconds / count,
            "peer_cpu": peer_cpu / count,
            "ours_cpu": our_cpu / count,
            "cosine": float(cosines.mean()),
            "cosine_min": float(cosines.min()),
        }

    async def _peer_encode(self, texts: list[str], threads: int) -> tuple[np.ndarray, float]:
        asked = self._peer.submit(peer_encode, texts, self._batch, threads)
        return await asyncio.wrap_future(asked)

    async def _cpu(self) -> float:
        """Seconds of processor time that our worker and this process have had."""
        worker = self._ours._process.submit(time.process_time)  # noqa: SLF001 - to measure it
        return await asyncio.wrap_future(worker) + time.process_time()


def summary(turns: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over turns; quartiles of the ratios say how far the machine's other work shows."""
    ratios = [one["peer"] / one["ours"] for one in turns]
    cpu_ratios = [one["peer_cpu"] / one["ours_cpu"] for one in turns]
    return {
        "sentence-transformers": 1 / statistics.median(one["peer"] for one in turns),
        "ours": 1 / statistics.median(one["ours"] for one in turns),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2],
        "peer_cpu_ms": 1e3 * statistics.median(one["peer_cpu"] for one in turns),
        "ours_cpu_ms": 1e3 * statistics.median(one["ours_cpu"] for one in turns),
        "cpu_ratio": statistics.median(cpu_ratios),
        "cpu_ratio_quartiles": statistics.quantiles(cpu_ratios, n=4)[::2],
        "cosine_mean": statistics.mean(one["cosine"] for one in turns),
        "cosine_min": min(one["cosine_min"] for one in turns),
    }


async def side_by_side(arguments: argparse.Namespace, models: Path) -> dict[str, Any]:
    """Turns of both, by length."""
    (folder,) = list(folders(models))[-1:]
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    threads, rng = arguments.threads, random.Random(arguments.seed)
    peer = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    peer_load = await asyncio.wrap_future(peer.submit(load_peer, threads))
    ours = WorkerEmbedder(EncoderSpec(BUNDLED_MODEL, "onnx"), models=models, threads=threads)
    began = time.perf_counter()
    await ours.ready()
    result: dict[str, Any] = {
        "threads": threads,
        "encoder": ours.encoder,
        "load_seconds": {"sentence-transformers": peer_load, "ours": time.perf_counter() - began},
        "lengths": {},
    }
    sources = real_texts(arguments.data)
    turn = Turn(peer, ours, batch=arguments.batch, threads=threads)
    for tokens, count in LENGTHS.items():
        turns = []
        for _ in range(arguments.rounds):
            texts = cut_texts(tokenizer, sources, tokens, count, rng)
            turns.append(await turn.of(texts))
        result["lengths"][tokens] = summary(turns)
        print(f"{tokens} tokens: {result['lengths'][tokens]}", file=sys.stderr)
    pools = {"sentence-transformers": peer, "ours": ours._process._pool}  # noqa: SLF001 - to measure it
    result["worker_rss_mb"] = {
        name: sum(psutil.Process(pid).memory_info().rss for pid in pool._processes) / 1e6  # noqa: SLF001
        for name, pool in pools.items()
        if pool is not None
    }
    await ours.close()
    peer.shutdown()
    return result


def deduper_memory(models: Path) -> dict[str, float]:
    """Resident megabytes of `serve dedup` with its model loaded: of the service, and of its worker."""
    with tempfile.TemporaryDirectory() as home:
        unset = {k: v for k, v in os.environ.items() if not k.startswith("EVALRATCHET_")}
        env = unset | {"EVALRATCHET_HOME": home, "EVALRATCHET_MODELS": str(models)}
        env |= {"EVALRATCHET_EMBEDDING_BACKEND": "onnx", "EVALRATCHET_LOG_FORMAT": "json"}
        command = [sys.executable, "-m", "services.cli"]
        subprocess.run([*command, "db", "upgrade"], env=env, check=True, stdout=subprocess.DEVNULL)
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, "serve", "dedup"], env=env, stderr=subprocess.STDOUT, stdout=subprocess.PIPE
        ) as service:
            assert service.stdout is not None  # noqa: S101 - it is a pipe
            lines = iter(service.stdout.readline, b"")
            if not any(b"embedding_model_loaded" in line for line in lines):
                message = "serve dedup ended before its model was loaded"
                raise SystemExit(message)
            loaded = time.perf_counter() - began
            process = psutil.Process(service.pid)
            children = [child.memory_info().rss / 1e6 for child in process.children(recursive=True)]
            own = process.memory_info().rss / 1e6
            everybody = [process, *process.children(recursive=True)]
            shared_once = sum(one.memory_full_info().pss for one in everybody) / 1e6
            service.terminate()
    return {
        "service": own,
        "worker": max(children),
        "helper": sum(children) - max(children),
        "all": own + sum(children),
        "all, what they share counted once": shared_once,
        "seconds_to_loaded": loaded,
    }


def print_report(result: dict[str, Any]) -> None:
    """Print what was measured, as a table."""
    print(f"{result['encoder']}, {result['threads']} threads, medians of turns")
    print(
        "tokens  texts/s: peer  ours  ratio (quartiles)  CPU ms: peer  ours  ratio (quartiles)  cosine"
    )
    for tokens, row in result["lengths"].items():
        quartiles, cpu = (
            "{:.1f} to {:.1f}".format(*row[name])
            for name in ("ratio_quartiles", "cpu_ratio_quartiles")
        )
        print(
            f"{tokens:6}  {row['sentence-transformers']:13.0f}  {row['ours']:4.0f}  "
            f"{row['ratio']:4.1f} ({quartiles})  {row['peer_cpu_ms']:12.1f}  {row['ours_cpu_ms']:4.1f}  "
            f"{row['cpu_ratio']:4.2f} ({cpu})  {row['cosine_mean']:.4f}, {row['cosine_min']:.4f} at worst"
        )
    for name, unit in (("load_seconds", "s to load"), ("worker_rss_mb", "MB, the worker")):
        shown = ", ".join(f"{who} {value:.1f}" for who, value in result[name].items())
        print(f"{unit}: {shown}")
    shown = ", ".join(f"{name} {value:.1f}" for name, value in result["deduper_mb"].items())
    print(f"MB, `serve dedup` before any pattern: {shown}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--batch",
        type=int,
        default=8,
        help="of sentence-transformers: of 8, 16 and 32 the best for it",
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="sample data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, default=Path(".evalratchet"), help="with models in it")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    home = arguments.home.resolve()
    unset = {k: v for k, v in os.environ.items() if not k.startswith("EVALRATCHET_")}
    compile_it = [sys.executable, "-m", "services.cli", "models", "compile", BUNDLED_MODEL]
    subprocess.run(
        compile_it, env=unset | {"EVALRATCHET_HOME": str(home)}, check=True, stdout=sys.stderr
    )
    result = asyncio.run(side_by_side(arguments, home / "models"))
    result["deduper_mb"] = deduper_memory(home / "models")
    print_report(result)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
