"""Gathers the texts of several callers into micro-batches, and remembers the latest vectors."""

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import numpy as np

from services.errors import Unavailable

Result = np.ndarray | str
"""A text's vector (float32, unit length), or in words why it has none."""

_GATHER_SECONDS = 0.003  # a text alone takes 2 to 20: waiting for company must not show
_BATCH_TEXTS = 64  # about 0.3 s of 100 tokens: nobody waits longer for others' turn to end
_BATCH_CHARACTERS = 64_000  # the same, where texts are long
_REMEMBERED = 8192  # 16 MB of 384 dimensions: a burst of one failure over all its projects


class Gathering:
    """Texts wait a moment for others, are taken in turns from all callers, and go sorted by length.

    A caller with ten thousand texts does not hold up one with a single text for longer than a batch.
    A text that several ask for, or that was asked for lately, is embedded once.
    """

    def __init__(self, embed_batch: Callable[[list[str]], Awaitable[Sequence[Result]]]) -> None:
        """`embed_batch` answers a batch in its order; what it raises, everybody in the batch gets."""
        self._embed_batch = embed_batch
        self._callers: deque[deque[tuple[bytes, str]]] = deque()
        self._wanted: dict[bytes, asyncio.Future[Result]] = {}
        self._remembered: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._working: asyncio.Task[None] | None = None

    async def embed(self, texts: Sequence[str]) -> list[Result]:
        """For each text its result, in their order. Raises what embedding raises."""
        keys = [_key(text) for text in texts]
        found: dict[bytes, Result] = {}
        missing: dict[bytes, str] = {}
        for key, text in zip(keys, texts, strict=True):
            if key in self._remembered:
                self._remembered.move_to_end(key)
                found[key] = self._remembered[key]
            else:
                missing[key] = text
        if missing:
            wanted = self._ask(missing)
            await asyncio.wait(wanted.values())  # a caller that gives up cancels nobody else's
            found.update((key, future.result()) for key, future in wanted.items())
        return [found[key] for key in keys]

    async def close(self) -> None:
        """Stop; whoever still waits gets `Unavailable`."""
        if self._working is not None and not self._working.done():
            self._working.cancel()
            await asyncio.wait([self._working])
            self._working = None
        _fail(self._wanted.values(), Unavailable("the embedding worker was stopped"))
        self._wanted.clear()
        self._callers.clear()

    def _ask(self, missing: dict[bytes, str]) -> dict[bytes, "asyncio.Future[Result]"]:
        loop = asyncio.get_running_loop()
        new: deque[tuple[bytes, str]] = deque()
        for key, text in missing.items():
            if key not in self._wanted:
                self._wanted[key] = loop.create_future()
                new.append((key, text))
        if new:
            self._callers.append(new)
            if self._working is None or self._working.done():
                self._working = loop.create_task(self._work(), name="embedding")
        return {key: self._wanted[key] for key in missing}

    async def _work(self) -> None:
        while self._callers:
            if sum(map(len, self._callers)) < _BATCH_TEXTS:
                await asyncio.sleep(_GATHER_SECONDS)
            batch = sorted(self._take(), key=lambda one: len(one[1]))
            futures = [self._wanted[key] for key, _ in batch]
            try:
                results = await self._embed_batch([text for _, text in batch])
            except Exception as error:  # noqa: BLE001 - theirs to handle who asked
                _fail(futures, error)
            else:
                for (key, _), future, result in zip(batch, futures, results, strict=True):
                    self._remember(key, result)
                    future.set_result(result)
            for key, _ in batch:
                del self._wanted[key]

    def _take(self) -> list[tuple[bytes, str]]:
        """The next batch: one text of each caller in turn."""
        batch: list[tuple[bytes, str]] = []
        characters = 0
        while self._callers and len(batch) < _BATCH_TEXTS:
            caller = self._callers[0]
            characters += len(caller[0][1])
            if batch and characters > _BATCH_CHARACTERS:
                break
            batch.append(caller.popleft())
            self._callers.popleft()
            if caller:
                self._callers.append(caller)
        return batch

    def _remember(self, key: bytes, result: Result) -> None:
        if isinstance(result, str):
            return  # the worker may have died for another reason
        self._remembered[key] = result.copy()  # a row keeps the array of its whole batch
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _fail(futures: Iterable["asyncio.Future[Result]"], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
            future.exception()  # where all who asked have given up, nobody is to be told
