"""Names of people, places and organisations, found by a model in a process of its own."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import structlog

from capture.redaction.finding import Found
from capture.redaction.redactor import Names
from services.errors import Unavailable
from services.worker import WorkerProcess, within

log = structlog.get_logger()

_LOAD_SECONDS = 300.0  # as the embedding model: a cold disk and a large model
_FIND_SECONDS = (
    25.0  # less than clients wait; a base-size model reads 30 texts a second on two cores
)
_NICENESS = 5
_CHUNK, _OVERLAP = 400, 60  # characters: such models read 512 tokens, and a name has a few words
_SURE = 0.5  # of the model's probability: below it something else is likelier
_BATCH = 16
_REMEMBERED = 4096  # texts; longer ones than these characters are asked about again
_REMEMBERED_CHARS = 4000

_KINDS = {"PER": "person", "LOC": "location", "GPE": "location", "ORG": "organisation"}
"""By how the groups of models begin (CoNLL 2003 and OntoNotes); what begins otherwise is no name."""

_LETTER = re.compile(r"[^\W\d_]{2}")

_pipeline: Any = None  # of the worker process


def _load(model: str) -> str:
    global _pipeline  # noqa: PLW0603 - one model for the life of the worker process
    import transformers  # noqa: PLC0415 - seconds, and only in the worker

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call] # it has no types
    _pipeline = transformers.pipeline(
        "token-classification", model=model, aggregation_strategy="simple", device="cpu"
    )
    _pipeline(["warm up"])
    return model


def _find(texts: list[str]) -> list[list[tuple[int, int, str]]]:
    """For each text the places and kinds of names, in characters."""
    if _pipeline is None:
        message = "the worker was asked for names before it loaded a model"
        raise RuntimeError(message)
    chunks = [(number, at, part) for number, text in enumerate(texts) for at, part in _chunks(text)]
    found: list[list[tuple[int, int, str]]] = [[] for _ in texts]
    answers = _pipeline([part for _, _, part in chunks], batch_size=_BATCH) if chunks else []
    for (number, at, _), entities in zip(chunks, answers, strict=True):
        for entity in entities:
            kind = _KINDS.get(str(entity["entity_group"]).upper()[:3])
            if kind is not None and entity["score"] >= _SURE and entity["end"] > entity["start"]:
                found[number].append((at + entity["start"], at + entity["end"], kind))
    return found


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces that the model can read, with where each begins; they overlap."""
    start = 0
    while start < len(text):
        yield start, text[start : start + _CHUNK]
        if start + _CHUNK >= len(text):
            return
        start += _CHUNK - _OVERLAP


class WorkerNames:
    """Asks a model in a worker process, which is started, and started again when it dies."""

    def __init__(self, model: str) -> None:
        """A token classification model, by name or path. Nothing is started before `start`."""
        self._model = model
        self._process = WorkerProcess(niceness=_NICENESS)
        self._loading: Future[str] | None = None
        self._known: dict[str, tuple[Found, ...]] = {}

    def start(self) -> None:
        """Start loading the model, without waiting for it."""
        if not self._process.running:
            self._loading = self._process.submit(_load, self._model)

    async def find(self, texts: Sequence[str]) -> Names:
        """What the model found, by text. Raises `Unavailable`: then nothing is known of any text."""
        unknown = [text for text in texts if text not in self._known and _LETTER.search(text)]
        if unknown:
            found = await self._asked(unknown)
            if len(self._known) + len(found) > _REMEMBERED:
                self._known.clear()
            known = {**self._known, **found}
            self._known.update({t: f for t, f in found.items() if len(t) <= _REMEMBERED_CHARS})
        else:
            known = self._known
        return {text: known[text] for text in texts if known.get(text)}

    async def close(self) -> None:
        """Stop the worker at once."""
        self._loading = None
        await self._process.close()

    async def _asked(self, texts: list[str]) -> dict[str, tuple[Found, ...]]:
        await self._ready()
        try:
            answers = await within(self._process.submit(_find, texts), _FIND_SECONDS)
        except (BrokenProcessPool, TimeoutError, MemoryError) as error:
            self._stop()
            log.warning("names_worker_died", texts=len(texts), why=type(error).__name__)
            message = (
                "the model that finds names died or took too long; nothing is taken unredacted"
            )
            raise Unavailable(message) from error
        return {
            text: tuple(Found(low, high, kind, text[low:high]) for low, high, kind in places)
            for text, places in zip(texts, answers, strict=True)
        }

    async def _ready(self) -> None:
        self.start()
        if self._loading is None:
            return
        try:
            await within(self._loading, _LOAD_SECONDS)
        except Exception as error:
            self._stop()
            message = (
                f"the model that finds names (EVALRATCHET_REDACTION_NER={self._model}) cannot be "
                f"loaded, and nothing is taken unredacted: {type(error).__name__}: {error}"
            )
            raise Unavailable(message) from error

    def _stop(self) -> None:
        self._process.kill()
        self._loading = None
