"""The dedup handler with a real worker process in which the model misbehaves, or is not there."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capture.events import Failure
from dedup.encoders.identity import HASHING_MODEL, EncoderSpec
from dedup.encoders.weights import BUNDLED_MODEL
from services import embedding_worker
from services.deduper import Deduper
from services.embedder import WorkerEmbedder
from services.encoders import Encoders
from services.errors import Halted
from services.indexes import Indexes
from services.policy import Policies
from services.stream.outcome import DeadLetter, Emit

Make = Callable[..., Failure]
FAULTS = Path(__file__).parent / "worker_faults"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[WorkerEmbedder]:
    """The hashing encoder in a worker that some texts make misbehave."""
    monkeypatch.syspath_prepend(FAULTS)
    import deadly_encoding  # noqa: PLC0415 - the path is set above, and spawned workers get it

    monkeypatch.setattr(embedding_worker, "encode", deadly_encoding.encode)
    embedder = WorkerEmbedder(EncoderSpec(HASHING_MODEL), models=tmp_path, threads=1)
    yield embedder
    await embedder.close()


@pytest.fixture
def deduper(patterns: Any, worker: WorkerEmbedder, indexes: Indexes, policies: Policies) -> Deduper:
    encoders = Encoders(worker, lambda _: worker)
    return Deduper(patterns, encoders, indexes, policies, clock=lambda: NOW)


async def test_a_vector_that_is_not_a_number_is_a_dead_letter_in_words(
    deduper: Deduper, make_failure: Make
) -> None:
    await deduper.ready()
    good, bad = await deduper.handle(
        [
            make_failure("t1", input="where is my parcel"),
            make_failure("t2", input="this is not a number"),
        ]
    )
    assert isinstance(good, Emit)
    assert isinstance(bad, DeadLetter)
    assert "not finite" in bad.detail


async def test_a_text_that_kills_the_worker_is_a_dead_letter_and_the_others_go_on(
    deduper: Deduper, make_failure: Make
) -> None:
    await deduper.ready()
    bad, good = await deduper.handle(
        [
            make_failure("t1", input="a text full of poison"),
            make_failure("t2", input="where is my parcel", project="other"),
        ]
    )
    assert isinstance(bad, DeadLetter)
    assert "died 3 times" in bad.detail
    assert isinstance(good, Emit)


async def test_a_compiled_model_that_is_not_there_halts_with_what_to_run(
    patterns: Any, indexes: Indexes, policies: Policies, tmp_path: Path
) -> None:
    """Failures wait in the topic; none becomes a dead letter."""
    missing = WorkerEmbedder(EncoderSpec(BUNDLED_MODEL, "onnx"), models=tmp_path, threads=1)
    encoders = Encoders(missing, lambda _: missing)
    deduper = Deduper(patterns, encoders, indexes, policies, clock=lambda: NOW)
    try:
        with pytest.raises(Halted, match="evalratchet models compile"):
            await deduper.ready()
    finally:
        await encoders.close()
