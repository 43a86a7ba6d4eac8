"""capture's first half: what clients sent goes to the stream, and only then is it acknowledged."""

import asyncio
from collections.abc import Sequence

from capture.events import Piece
from services.errors import Unavailable
from services.stream import envelope
from services.stream.port import Message, Publisher
from services.stream.size import TooLarge, refuse_too_large

_PUBLISH_SECONDS = (
    30.0  # a cluster that elects new leaders needs up to ten; clients wait about sixty
)


class Collector:
    """Publishes pieces of traces. Knows nothing of how they came."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        topic: str,
        max_message_bytes: int,
        timeout_seconds: float = _PUBLISH_SECONDS,
    ) -> None:
        """Publish to `topic`, whose messages have at most `max_message_bytes`."""
        self._publisher = publisher
        self._topic = topic
        self._max_message_bytes = max_message_bytes
        self._timeout_seconds = timeout_seconds

    async def collect(
        self, pieces: Sequence[Piece], *, traceparent: str | None = None
    ) -> list[str | None]:
        """Return once all pieces are durable: None for each, or why its topic does not take it.

        Raises:
            Unavailable: some may be durable and some not; sending them again is harmless.
        """
        messages: list[Message] = []
        refusals: list[str | None] = []
        for piece in pieces:
            message = envelope.encode(piece, self._topic, traceparent=traceparent)
            try:
                refuse_too_large([message], self._max_message_bytes)
            except TooLarge as error:
                refusals.append(str(error))
                continue
            messages.append(message)
            refusals.append(None)
        if messages:
            await self._publish(messages)
        return refusals

    async def _publish(self, messages: Sequence[Message]) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._publisher.publish(messages)
        except TimeoutError as error:
            message = f"the stream did not take it within {self._timeout_seconds:g} s"
            raise Unavailable(message) from error
