"""The embedding worker: the model lives in its own process, so nothing else waits for torch."""

from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import structlog

from dedup.embedding import Model, ModelRefused, load_model
from services.errors import Halted, Unavailable
from services.worker import WorkerProcess, within

log = structlog.get_logger()

_LOAD_SECONDS = 300.0  # a cold disk and a large model; the bundled one takes 5 to 15
_EMBED_SECONDS = 120.0  # 200 texts of 250 tokens take 8 s on two cores
_DEATHS = (BrokenProcessPool, TimeoutError, MemoryError)  # of the worker; none is this process's
_DEATHS_ON_ONE_TEXT = 3  # the worker may be killed for another reason once, not three times
_NICENESS = 10  # the model may have every processor that capture does not want

_model: Model | None = None  # of the worker process


def _load(name: str, threads: int) -> str:
    global _model  # noqa: PLW0603 - one model for the life of the worker process
    _model = load_model(name, threads=threads)
    _model.encode(["warm up"])
    return _model.space


def _encode(texts: list[str]) -> np.ndarray:
    if _model is None:
        message = "the worker was asked to embed before it loaded a model"
        raise RuntimeError(message)
    return _model.encode(texts)


class WorkerEmbedder:
    """Embeds in a worker process, which is started, and started again when it dies."""

    def __init__(self, model: str, *, threads: int) -> None:
        """Nothing is started before `start`."""
        self._name = model
        self._threads = threads
        self._process = WorkerProcess(niceness=_NICENESS)
        self._loading: Future[str] | None = None
        self._loaded: Future[str] | None = None  # the latest loading that ended well
        self._space: str | None = None

    @property
    def space(self) -> str:
        """The embedding space of the loaded model."""
        if self._space is None:
            message = "the embedding space is known once the model is loaded"
            raise Unavailable(message)
        return self._space

    def start(self) -> None:
        """Start loading the model, without waiting for it."""
        if not self._process.running:
            self._loading = self._process.submit(_load, self._name, self._threads)

    async def ready(self) -> None:
        """Return when the model is loaded. Raises `Unavailable`; `Halted` when it never will."""
        self.start()
        if self._loading is None or self._loading is self._loaded:
            return
        loading = self._loading
        try:
            space = await within(loading, _LOAD_SECONDS)
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
        if space != self._space:
            log.info("embedding_model_loaded", space=space)
        self._space, self._loaded = space, loading

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        """For each text its vector (float32, unit length), or in words why it has none."""
        if not texts:
            return []
        try:
            return _checked(await self._run(list(texts)))
        except _DEATHS:
            log.warning("embedding_worker_died", texts=len(texts))
        results: list[np.ndarray | str] = []
        for text in texts:  # one of them may be what kills it
            results.extend(await self._embed_alone(text))
        return results

    async def close(self) -> None:
        """Stop the worker at once."""
        self._loading = None
        await self._process.close()

    async def _embed_alone(self, text: str) -> Sequence[np.ndarray | str]:
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
            return await within(self._process.submit(_encode, texts), _EMBED_SECONDS)
        except _DEATHS:
            self._kill()
            raise

    def _kill(self) -> None:
        self._loading = None
        self._process.kill()


def _checked(vectors: np.ndarray) -> Sequence[np.ndarray | str]:
    """Rows as they are, but words in place of a row that is not a finite unit vector."""
    norms = np.linalg.norm(vectors, axis=1)
    good = np.isfinite(norms) & (np.abs(norms - 1.0) < 1e-3)  # noqa: PLR2004 - float32 rounding
    return [
        row if fine else "the embedding model gave a vector that is not finite and of unit length"
        for row, fine in zip(vectors, good, strict=True)
    ]
