"""Embedding: the compiled model in its worker beside sentence-transformers, in one run.

Both embed the same texts on the same number of threads, in short turns one after the other, so that
whatever else the machine does meets both. Ours takes the whole way: gathering, the worker's process, and
back. Then the memory of a `serve dedup` that has seen no pattern yet.

    .venv/bin/python benchmarks/embedding.py [--threads 2] [--rounds 5] [--home DIR] [--json FILE]
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tokenizers import Tokenizer

from dedup.encoders.compiled import TOKENIZER_FILE, folders
from dedup.encoders.identity import EncoderSpec
from dedup.encoders.sample import WISHES
from dedup.encoders.weights import BUNDLED_MODEL, local_reference
from services.embedder import WorkerEmbedder

LENGTHS = {20: 128, 100: 32, 250: 16}
"""Tokens of a text, and how many texts a turn has: half a second of the peer's alone on two cores."""
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


def peer_encode(texts: list[str], batch: int) -> np.ndarray:
    """The peer's vectors; it sorts by length itself."""
    vectors: np.ndarray = _peer.encode(
        texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False
    )
    return vectors


def made_texts(tokenizer: Any, tokens: int, count: int, rng: random.Random) -> list[str]:
    """Texts of sentences from the built-in sample, 0.7 to 1.3 times so many tokens."""
    words = " ".join(rng.choice(WISHES) for _ in range(400)).split()
    texts = []
    for _ in range(count):
        wanted = min(254, round(tokens * rng.uniform(0.7, 1.3)))
        start = rng.randrange(len(words) - 400)
        text = " ".join(words[start : start + 400])
        ends = tokenizer.encode(text, add_special_tokens=False).offsets
        texts.append(f"{text[: ends[wanted - 2][1]]} {rng.randrange(10)}")
    return texts


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
    for tokens, count in LENGTHS.items():
        rates: dict[str, list[float]] = {"peer": [], "ours": []}
        cosines: list[float] = []
        for _ in range(arguments.rounds):
            texts = made_texts(tokenizer, tokens, count, rng)
            began = time.perf_counter()
            theirs = await asyncio.wrap_future(peer.submit(peer_encode, texts, arguments.batch))
            rates["peer"].append(count / (time.perf_counter() - began))
            began = time.perf_counter()
            mine = np.array(await ours.embed(texts))
            rates["ours"].append(count / (time.perf_counter() - began))
            cosines.extend((theirs * mine).sum(axis=1).tolist())
        ratios = [b / a for a, b in zip(rates["peer"], rates["ours"], strict=True)]
        print(f"{tokens} tokens: {[round(one, 2) for one in ratios]}", file=sys.stderr)
        result["lengths"][tokens] = {
            "sentence-transformers": statistics.median(rates["peer"]),
            "ours": statistics.median(rates["ours"]),
            "ratio": statistics.median(ratios),
            "cosine_mean": statistics.mean(cosines),
            "cosine_min": min(cosines),
        }
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
    print("tokens  sentence-transformers  ours, items/s  ratio  cosine mean    min")
    for tokens, row in result["lengths"].items():
        peer, ours = row["sentence-transformers"], row["ours"]
        cosines = f"{row['cosine_mean']:11.4f}  {row['cosine_min']:.4f}"
        print(f"{tokens:6}  {peer:21.0f}  {ours:13.0f}  {row['ratio']:5.1f}  {cosines}")
    for name, unit in (("load_seconds", "s to load"), ("worker_rss_mb", "MB, the worker")):
        shown = ", ".join(f"{who} {value:.1f}" for who, value in result[name].items())
        print(f"{unit}: {shown}")
    shown = ", ".join(f"{name} {value:.1f}" for name, value in result["deduper_mb"].items())
    print(f"MB, `serve dedup` before any pattern: {shown}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="of sentence-transformers")
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
