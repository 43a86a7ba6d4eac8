"""What the embedding worker promises whichever model is in it; hashing is loaded in an instant."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest

from dedup.encoders.hashing import HashingEncoder
from dedup.encoders.identity import HASHING_MODEL, EncoderSpec
from services import embedder as embedder_module
from services import embedding_worker
from services.embedder import WorkerEmbedder
from services.errors import Halted, Unavailable

FAULTS = Path(__file__).parent / "worker_faults"
HASHING = EncoderSpec(HASHING_MODEL)


@pytest.fixture
async def worker() -> AsyncIterator[WorkerEmbedder]:
    embedder = WorkerEmbedder(HASHING, models=Path("none"), threads=1)
    yield embedder
    await embedder.close()


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The worker, told to encode by a function that some texts make misbehave."""
    monkeypatch.syspath_prepend(FAULTS)
    import deadly_encoding  # noqa: PLC0415 - the path is set above, and spawned workers get it

    monkeypatch.setattr(embedding_worker, "encode", deadly_encoding.encode)
    return deadly_encoding


def _process_of(worker: WorkerEmbedder) -> int:
    assert worker._process._pool is not None
    (pid,) = worker._process._pool._processes
    return int(pid)


def _is_gone(pid: int, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _vectors(results: object) -> list[np.ndarray]:
    assert isinstance(results, list)
    assert all(isinstance(one, np.ndarray) for one in results), results
    return results


async def test_every_text_gets_its_vector_from_another_process(worker: WorkerEmbedder) -> None:
    one, two, again = _vectors(await worker.embed(["a text", "another", "a text"]))
    assert one.dtype == np.float32
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)
    assert worker.encoder == HashingEncoder.identity
    assert _process_of(worker) != os.getpid()


async def test_the_encoder_is_not_guessed_before_the_model_is_loaded(
    worker: WorkerEmbedder,
) -> None:
    with pytest.raises(Unavailable):
        _ = worker.encoder


async def test_a_worker_that_is_killed_is_started_again(worker: WorkerEmbedder) -> None:
    assert _vectors(await worker.embed(["a text"]))
    killed = _process_of(worker)
    os.kill(killed, signal.SIGKILL)
    (after,) = _vectors(await worker.embed(["another"]))
    assert np.array_equal(after, HashingEncoder().encode(["another"])[0])
    assert _process_of(worker) != killed


async def test_a_text_that_kills_the_worker_is_answered_in_words_and_alone(
    worker: WorkerEmbedder, deadly: ModuleType
) -> None:
    good, bad, also_good = await worker.embed(["a text", "poison", "another"])
    assert bad == "the embedding worker died 3 times on this text"
    assert isinstance(good, np.ndarray)
    assert isinstance(also_good, np.ndarray)


async def test_a_text_that_the_worker_never_finishes_is_answered_in_words(
    worker: WorkerEmbedder, deadly: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_module, "_DEATHS_ON_ONE_TEXT", 1)
    await worker.ready()
    monkeypatch.setattr(embedder_module, "_EMBED_SECONDS", 0.3)
    (answer,) = await worker.embed(["sleepy"])
    assert isinstance(answer, str)
    monkeypatch.setattr(embedder_module, "_EMBED_SECONDS", 60)
    assert _vectors(await worker.embed(["awake"]))


async def test_a_vector_that_is_no_unit_vector_is_answered_in_words(
    worker: WorkerEmbedder, deadly: ModuleType
) -> None:
    """It would be near to everything, or to nothing, for ever."""
    good, nan, longer = await worker.embed(["a text", "not a number", "too long"])
    assert isinstance(good, np.ndarray)
    assert nan == longer
    assert "not finite and of unit length" in str(nan)


async def test_a_model_that_cannot_be_used_halts_with_what_to_do(
    worker: WorkerEmbedder, deadly: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting would not help: nothing about it will change by itself."""
    monkeypatch.setattr(embedding_worker, "load", deadly.refuse)
    for _ in range(2):
        with pytest.raises(Halted, match=r"cannot be loaded with 1 threads\. Choose another"):
            await worker.ready()


async def test_a_model_that_cannot_be_loaded_a_second_time_halts_and_stays_halted(
    worker: WorkerEmbedder, deadly: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without a model must not make a dead letter of every failure that comes."""
    await worker.ready()
    monkeypatch.setattr(embedding_worker, "load", deadly.refuse)
    os.kill(_process_of(worker), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(Halted, match="cannot be loaded"):
            await worker.embed(["a text"])


async def test_a_worker_without_memory_never_takes_this_process_with_it(
    worker: WorkerEmbedder, deadly: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capture may run here too: it goes on, and what waits for the model waits."""
    good, bad = await worker.embed(["a text", "enormous"])
    assert isinstance(good, np.ndarray)
    assert isinstance(bad, str)
    await worker.close()
    monkeypatch.setattr(embedding_worker, "load", deadly.run_out_of_memory)
    with pytest.raises(Unavailable, match="could not be loaded: MemoryError"):
        await worker.ready()


async def test_a_worker_that_is_started_again_must_have_the_very_same_encoder(
    worker: WorkerEmbedder, deadly: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may have been compiled meanwhile: what runs stays in its space until it is restarted."""
    await worker.ready()
    asked: list[EncoderSpec] = []

    def submitted(function, *arguments):
        asked.extend(one for one in arguments if isinstance(one, EncoderSpec))
        return submit(function, *arguments)

    submit = worker._process.submit
    monkeypatch.setattr(worker._process, "submit", submitted)
    os.kill(_process_of(worker), signal.SIGKILL)
    assert _vectors(await worker.embed(["a text"]))
    assert {one.identity for one in asked} == {HashingEncoder.identity}


async def test_what_was_embedded_lately_is_not_embedded_again(worker: WorkerEmbedder) -> None:
    """Ten thousand failures with the same text cost one embedding."""
    (first,) = _vectors(await worker.embed(["a text"]))
    os.kill(_process_of(worker), signal.SIGSTOP)
    remembered = _vectors(await worker.embed(["a text"] * 10_000))
    assert all(np.array_equal(one, first) for one in remembered)


async def test_texts_of_many_callers_come_back_to_whom_they_belong(worker: WorkerEmbedder) -> None:
    asked = [[f"text {n} of caller {caller}" for n in range(caller)] for caller in range(40)]
    answers = await asyncio.gather(*(worker.embed(texts) for texts in asked))
    for texts, answer in zip(asked, answers, strict=True):
        assert np.array_equal(np.array(answer).reshape(-1, 256), HashingEncoder().encode(texts)), (
            texts
        )


async def test_closing_tells_those_who_wait(worker: WorkerEmbedder, deadly: ModuleType) -> None:
    await worker.ready()
    waiting = asyncio.create_task(worker.embed(["sleepy"]))
    while not worker._gathering._wanted:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0)
    await worker.close()
    with pytest.raises(Unavailable, match="stopped"):
        await waiting


async def test_a_worker_that_was_never_started_closes_quietly() -> None:
    await WorkerEmbedder(HASHING, models=Path("none"), threads=1).close()


async def test_closing_stops_the_worker_at_once(worker: WorkerEmbedder) -> None:
    await worker.ready()
    pid = _process_of(worker)
    await worker.close()
    assert _is_gone(pid, within=60)


PARENT = """
import asyncio, time
from pathlib import Path
from dedup.encoders.identity import EncoderSpec
from services.embedder import WorkerEmbedder

async def main():
    worker = WorkerEmbedder(EncoderSpec("hashing"), models=Path("none"), threads=1)
    await worker.ready()
    print(*worker._process._pool._processes, flush=True)
    time.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_the_worker_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Hundreds of megabytes would else stay behind with every crash."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = next(int(line) for line in parent.stdout if line.strip().isdigit())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert _is_gone(worker, within=60)


def test_the_serving_process_never_imports_a_model_library() -> None:
    """It is seconds and hundreds of megabytes: it belongs to the worker."""
    code = (
        "import sys, services.up, services.wiring\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'hdbscan', 'sklearn', "
        "'onnx', 'onnxruntime'}\n"
        "found = heavy & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
