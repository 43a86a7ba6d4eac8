"""The real, bundled model in its worker. One worker for the whole module: it takes seconds to load."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dedup.encoders.identity import EncoderSpec
from dedup.encoders.weights import BUNDLED_MODEL, BUNDLED_SHA256
from services.embedder import WorkerEmbedder, embedder_of
from services.errors import Halted
from services.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # compiling, on a machine that is busy

WORKER_FILES = Path(__file__).parent / "worker_faults"
_SERVING_MB = 220  # of the worker: 150 to 180 measured; with torch it has 550 to 950


@pytest.fixture(scope="module", params=["onnx", "sentence-transformers"])
def worker(request: pytest.FixtureRequest, compiled_models: Path) -> Iterator[WorkerEmbedder]:
    spec = EncoderSpec(BUNDLED_MODEL, request.param)
    embedder = WorkerEmbedder(spec, models=compiled_models, threads=2)
    embedder.start()
    yield embedder
    asyncio.run(embedder.close())


HARD = {
    "nothing": "",
    "white space": " \n\t ",
    "a megabyte": "x" * 1_000_000,
    "a megabyte of words": "where is my parcel? " * 50_000,
    "control characters": "".join(map(chr, range(32))),
    "right to left": "أين طلبي؟ מתי יגיע?",
    "bidirectional overrides": "\u202eabc\u202c\u2066x\u2069",
    "emoji": "👩‍👩‍👧‍👦👍🏽🏳️‍🌈",
    "no script the model knows": "ᚠᚢᚦ 𒀀𒁀 កខគ",
    "private and unassigned": "\ue000\U000e0001\uffff",
    "markup of the tokeniser": "[CLS] [MASK] [SEP] [PAD]",
}


async def test_every_text_there_can_be_gets_a_unit_vector(worker: WorkerEmbedder) -> None:
    for name, result in zip(HARD, await worker.embed(list(HARD.values())), strict=True):
        assert isinstance(result, np.ndarray), name
        assert result.shape == (384,), name
        assert result.dtype == np.float32, name
        assert abs(float(np.linalg.norm(result)) - 1) < 1e-3, name


async def test_equal_texts_have_equal_vectors_whatever_else_is_in_the_batch(
    worker: WorkerEmbedder,
) -> None:
    """A failure that comes again alone must be at distance nought from itself."""
    texts = ["where is my parcel", "cancel", "where is my parcel", "a much longer text " * 20]
    together = [one for one in await worker.embed(texts) if isinstance(one, np.ndarray)]
    (alone,) = [one for one in await worker.embed(texts[:1]) if isinstance(one, np.ndarray)]
    assert len(together) == 4
    assert np.allclose(together[0], together[2], atol=1e-6)
    assert np.allclose(together[0], alone, atol=1e-5)


async def test_a_rewording_is_nearer_than_another_wish(worker: WorkerEmbedder) -> None:
    asked, reworded, other = await worker.embed(
        ["Where is my parcel?", "I want to know where my package is", "Cancel my subscription"]
    )
    assert isinstance(asked, np.ndarray)
    assert asked @ reworded > asked @ other + 0.3


async def test_the_encoder_names_model_weights_and_backend(worker: WorkerEmbedder) -> None:
    await worker.ready()
    model, _, backend = worker.encoder.partition("/")
    assert model == f"{BUNDLED_MODEL}@{BUNDLED_SHA256[:12]}"
    assert backend == "sentence-transformers" or backend.startswith("onnx-int8@")


async def test_the_compiled_model_serves_without_torch_and_is_small(
    compiled_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(WORKER_FILES)
    import looking_inside  # noqa: PLC0415 - the path is set above, and spawned workers get it

    monkeypatch.setenv("EVALRATCHET_MODELS", str(compiled_models))
    embedder = embedder_of(load_settings())
    try:
        assert len(await embedder.embed([text[:20_000] for text in HARD.values()])) == len(HARD)
        inside = await asyncio.wrap_future(embedder._process.submit(looking_inside.look))
    finally:
        await embedder.close()
    assert not {"torch", "transformers", "sentence_transformers", "onnx"} & set(inside.modules)
    assert "onnxruntime" in inside.modules
    assert inside.resident_bytes < _SERVING_MB * 1e6


async def test_an_identity_gets_its_own_encoder_whatever_the_settings_say(
    compiled_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project stays in the space it has until somebody switches it."""
    monkeypatch.setenv("EVALRATCHET_MODELS", str(compiled_models))
    first = embedder_of(load_settings())
    try:
        await first.ready()
        identity = first.encoder
    finally:
        await first.close()
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_MODEL", "hashing")
    other = embedder_of(load_settings(), identity)
    try:
        await other.ready()
        assert other.encoder == identity
    finally:
        await other.close()


async def test_a_compiled_file_that_was_changed_halts_with_what_to_run(
    compiled_models: Path, tmp_path: Path
) -> None:
    shutil.copytree(compiled_models, tmp_path / "models")
    (file,) = (tmp_path / "models").glob("*/model.onnx")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)
    embedder = WorkerEmbedder(EncoderSpec(BUNDLED_MODEL), models=tmp_path / "models", threads=1)
    try:
        with pytest.raises(Halted, match=r"cut off.*evalratchet models compile all-MiniLM-L6-v2"):
            await embedder.ready()
    finally:
        await embedder.close()
