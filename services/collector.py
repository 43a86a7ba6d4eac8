"""capture's first half: what clients sent goes to the stream, and only then is it acknowledged.

One way for everything that arrives, whatever the protocol: redact, seal (the event id is derived
from what is left), publish, answer.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from capture.events import Piece
from services.errors import Unavailable
from services.stream import envelope
from services.stream.port import Message, Publisher
from services.stream.size import TooLarge, refuse_too_large

_PUBLISH_SECONDS = (
    30.0  # a cluster that elects new leaders needs up to ten; clients wait about sixty
)


class Collected(msgspec.Struct, frozen=True):
    """What became of a piece: its event id, and None or why its topic does not take it."""

    event_id: str
    refusal: str | None = None


class Redacts(Protocol):
    """Takes personal data and secrets out of pieces."""

    async def redact(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces, in order, without what their projects' policies say must go.

        Raises `Unavailable` when a project's policy is not known and cannot be read.
        """


class Collector:
    """Publishes pieces of traces. Knows nothing of how they came."""

    def __init__(
        self,
        publisher: Publisher,
        redaction: Redacts,
        *,
        topic: str,
        max_message_bytes: int,
        timeout_seconds: float = _PUBLISH_SECONDS,
    ) -> None:
        """Publish to `topic`, whose messages have at most `max_message_bytes`."""
        self._publisher = publisher
        self._redaction = redaction
        self._topic = topic
        self._max_message_bytes = max_message_bytes
        self._timeout_seconds = timeout_seconds

    async def collect(
        self, pieces: Sequence[Piece], *, traceparent: str | None = None
    ) -> list[Collected]:
        """Return once all pieces that their topic takes are durable; one result a piece, in order.

        Raises:
            Unavailable: some may be durable and some not; sending them again is harmless.
        """
        messages: list[Message] = []
        results: list[Collected] = []
        for piece in await self._redaction.redact(pieces):
            event_id, message = envelope.seal(piece, self._topic, traceparent=traceparent)
            try:
                refuse_too_large([message], self._max_message_bytes)
            except TooLarge as error:
                results.append(Collected(event_id, str(error)))
                continue
            messages.append(message)
            results.append(Collected(event_id))
        if messages:
            await self._publish(messages)
        return results

    async def _publish(self, messages: Sequence[Message]) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._publisher.publish(messages)
        except TimeoutError as error:
            message = f"the stream did not take it within {self._timeout_seconds:g} s"
            raise Unavailable(message) from error
