"""The encoders a process has at work: the configured one, and those that projects are still served by.

Each is a worker process with a model in it, so there are never more than three: of compiled models 0.6 GB
together, of reference models in torch 3.2 GB (a worker takes 150 to 204 MB and 1,044 MB; see
`docs/benchmarks.md`). Which encoder embeds a project's failures is not for the settings to say but for the
project's space: see `spaces.py`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import structlog

from services.errors import Halted

log = structlog.get_logger()


_OTHERS = 2
"""Beside the configured one. With one alone, two projects that are served by two former encoders would
have a model loaded anew with each batch."""


class Embedder(Protocol):
    """Texts to raw unit vectors, in a worker of its own."""

    @property
    def encoder(self) -> str:
        """Model, revision and backend. Raises `Unavailable` before it is loaded."""

    def start(self) -> None:
        """Start loading the model, without waiting for it."""

    async def ready(self) -> None:
        """Return when the model is loaded. Raises `Unavailable`; `Halted` when it never will be."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        """For each text its vector (float32, unit length), or in words why it has none.

        Raises `Unavailable`.
        """

    async def close(self) -> None:
        """Stop the worker."""


class EncoderMissing(Exception):
    """A project's encoder cannot be loaded here; the message says why and what to do."""


class Encoders:
    """Hands out embedders by the identity of their encoder."""

    def __init__(self, configured: Embedder, other: Callable[[str], Embedder]) -> None:
        """`other` makes the embedder of an encoder's identity; nothing is started here."""
        self._configured = configured
        self._make = other
        self._others: dict[str, Embedder] = {}  # the one that was asked for last comes last

    def start(self) -> None:
        """Start loading the configured model, without waiting for it."""
        self._configured.start()

    async def ready(self) -> None:
        """Return when the configured model is loaded. Raises `Unavailable`, `Halted`."""
        await self._configured.ready()

    @property
    def configured(self) -> str:
        """The identity of the configured encoder. Raises `Unavailable` before it is loaded."""
        return self._configured.encoder

    async def of(self, encoder: str) -> Embedder:
        """The embedder of this encoder, loaded.

        Raises:
            EncoderMissing: its model is not here, or is another than it was.
            Unavailable: it could not be loaded just now.
        """
        if encoder == self._configured.encoder:
            return self._configured
        embedder = self._others.pop(encoder, None)
        if embedder is None:
            while len(self._others) >= _OTHERS:
                await self._let_go(next(iter(self._others)))
            try:
                embedder = self._make(encoder)
            except ValueError as error:  # of a backend that this version does not have any more
                raise EncoderMissing(str(error)) from error
        self._others[encoder] = embedder
        try:
            await embedder.ready()
        except Halted as error:
            await self._let_go(encoder)
            raise EncoderMissing(str(error)) from error
        return embedder

    async def close(self) -> None:
        """Stop the workers at once."""
        for encoder in [*self._others]:
            await self._let_go(encoder)
        await self._configured.close()

    async def _let_go(self, encoder: str) -> None:
        if (embedder := self._others.pop(encoder, None)) is not None:
            log.info("encoder_let_go", encoder=encoder)
            await embedder.close()
