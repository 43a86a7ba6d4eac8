"""The real, bundled model in its worker. One worker for the whole module: it takes seconds to load."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from dedup.embedding import BUNDLED_MODEL, BUNDLED_SHA256
from services.embedder import WorkerEmbedder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerEmbedder]:
    embedder = WorkerEmbedder(BUNDLED_MODEL, threads=2)
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


async def test_the_space_names_model_and_weights(worker: WorkerEmbedder) -> None:
    await worker.ready()
    assert worker.space.startswith(f"{BUNDLED_MODEL}@{BUNDLED_SHA256[:12]}/")
