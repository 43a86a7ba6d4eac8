"""The embedding worker: the model lives in its own process, so nothing else waits for it."""

from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec
import numpy as np
import structlog

from dedup.encoders.identity import EncoderSpec, parsed, spec_of
from dedup.encoders.port import ModelRefused
from dedup.encoders.weights import shown_name
from services import embedding_worker
from services.embedding_batches import Gathering, Result
from services.errors import Halted, Unavailable
from services.settings import Settings
from services.worker import WorkerProcess, within

log = structlog.get_logger()

_LOAD_SECONDS = 300.0  # a cold disk and a large model; the bundled one takes 5 to 15, compiled 1
_EMBED_SECONDS = 120.0  # a batch takes a second; a text of a megabyte 2
_DEATHS = (BrokenProcessPool, TimeoutError, MemoryError)  # of the worker; none is this process's
_DEATHS_ON_ONE_TEXT = 3  # the worker may be killed for another reason once, not three times
_NICENESS = 10  # the model may have every processor that capture does not want


def embedder_of(settings: Settings, identity: str | None = None) -> "WorkerEmbedder":
    """The embedder that the settings ask for, or that of an encoder's identity. Nothing is started.

    Raises:
        ValueError: this version has no encoder of that identity.
    """
    spec = EncoderSpec(settings.embedding_model, settings.embedding_backend)
    if identity is not None:
        spec = spec_of(identity)
        if parsed(identity).model == shown_name(settings.embedding_model):  # and so where it is
            spec = msgspec.structs.replace(spec, model=settings.embedding_model)
    return WorkerEmbedder(spec, models=settings.models_folder, threads=settings.embedding_threads)


class WorkerEmbedder:
    """Embeds in a worker process, which is started, and started again when it dies."""

    def __init__(self, spec: EncoderSpec, *, models: Path, threads: int) -> None:
        """Nothing is started before `start`. `models`: the folder of compiled models."""
        self._spec = spec
        self._models = models
        self._threads = threads
        self._process = WorkerProcess(niceness=_NICENESS)
        self._gathering = Gathering(self._embed_batch)
        self._loading: Future[str] | None = None
        self._loaded: Future[str] | None = None  # the latest loading that ended well
        self._encoder: str | None = None

    @property
    def encoder(self) -> str:
        """The identity of the loaded encoder. Raises `Unavailable` before there is one."""
        if self._encoder is None:
            message = "which encoder it is, is known once the model is loaded"
            raise Unavailable(message)
        return self._encoder

    def start(self) -> None:
        """Start loading the model, without waiting for it."""
        if not self._process.running:
            self._loading = self._process.submit(
                embedding_worker.load, self._spec, self._models, self._threads
            )

    async def ready(self) -> None:
        """Return when the model is loaded. Raises `Unavailable`; `Halted` when it never will."""
        self.start()
        if self._loading is None or self._loading is self._loaded:
            return
        loading = self._loading
        try:
            encoder = await within(loading, _LOAD_SECONDS)
        except ModelRefused as error:
            raise Halted(str(error)) from error
        except (BrokenProcessPool, TimeoutError) as error:
            self._kill()
            message = "the embedding worker died while it loaded the model; is there enough memory?"
            raise Unavailable(message) from error
        except Exception as error:  # a disk, or memory: this process has other work than the model
            self._kill()
            message = f"the embedding model could not be loaded: {type(error).__name__}: {error}"
            raise Unavailable(message) from error
        if encoder != self._encoder:
            log.info("embedding_model_loaded", encoder=encoder)
        self._encoder, self._loaded = encoder, loading
        # a worker that is started again must have this very encoder, whatever was compiled meanwhile
        backend = spec_of(encoder).backend
        self._spec = msgspec.structs.replace(self._spec, backend=backend, identity=encoder)

    async def embed(self, texts: Sequence[str]) -> Sequence[Result]:
        """For each text its vector (float32, unit length), or in words why it has none.

        Raises `Unavailable`; `Halted` when the model cannot be used.
        """
        return await self._gathering.embed(texts)

    async def close(self) -> None:
        """Stop the worker at once."""
        self._loading = None
        await self._gathering.close()
        await self._process.close()

    async def _embed_batch(self, texts: list[str]) -> Sequence[Result]:
        try:
            return _checked(await self._run(texts))
        except _DEATHS:
            log.warning("embedding_worker_died", texts=len(texts))
        results: list[Result] = []
        for text in texts:  # one of them may be what kills it
            results.extend(await self._embed_alone(text))
        return results

    async def _embed_alone(self, text: str) -> Sequence[Result]:
        for _ in range(_DEATHS_ON_ONE_TEXT):
            try:
                return _checked(await self._run([text]))
            except _DEATHS:
                continue
        return [f"the embedding worker died {_DEATHS_ON_ONE_TEXT} times on this text"]

    async def _run(self, texts: list[str]) -> np.ndarray:
        await self.ready()
        if not self._process.running:
            message = "the embedding worker was stopped"
            raise Unavailable(message)
        try:
            return await within(
                self._process.submit(embedding_worker.encode, texts), _EMBED_SECONDS
            )
        except _DEATHS:
            self._kill()
            raise

    def _kill(self) -> None:
        self._loading = None
        self._process.kill()


def _checked(vectors: np.ndarray) -> Sequence[Result]:
    """Rows as they are, but words in place of a row that is not a finite unit vector."""
    norms = np.linalg.norm(vectors, axis=1)
    good = np.isfinite(norms) & (np.abs(norms - 1.0) < 1e-3)  # noqa: PLR2004 - float32 rounding
    return [
        row if fine else "the embedding model gave a vector that is not finite and of unit length"
        for row, fine in zip(vectors, good, strict=True)
    ]
