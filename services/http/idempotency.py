"""The same `Idempotency-Key` with another body is a conflict, not a second event."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from capture.malformed import UNREADABLE
from services.http.problem import Problem

_SECRET = "idempotency"  # noqa: S105 - the name of one


class Remembered(Protocol):
    """What the first request with a key said, durably and for all processes."""

    async def claim(self, event_id: str, digest: bytes, *, at_ms: int) -> bytes:
        """The digest that the event was first claimed with: this one, when nobody was before.

        Raises `Unavailable`.
        """


class Idempotency:
    """Checks keyed requests before they are published. Requests without a key never come here."""

    def __init__(
        self,
        remembered: Remembered,
        secret: Callable[[str], Awaitable[bytes]],
        *,
        clock_ms: Callable[[], int],
    ) -> None:
        """`secret` gives the 32 random bytes of a name."""
        self._remembered = remembered
        self._secret = secret
        self._clock_ms = clock_ms
        self._key: bytes | None = None

    async def check(self, event_id: str, body: bytes) -> None:
        """Return when the event was never claimed, or with a body that says the same.

        Bodies are compared as what they say: neither the order of an object's names nor white space
        matters. Only a keyed hash is kept, so that nobody can find out by guessing what a body,
        which no redaction has seen yet, said.

        Raises:
            Problem: 409, the key was used for something else.
            Unavailable: the store is away, so that cannot be told.
        """
        if self._key is None:
            self._key = await self._secret(_SECRET)
        digest = hashlib.blake2b(_said(body), digest_size=32, key=self._key).digest()
        first = await self._remembered.claim(event_id, digest, at_ms=self._clock_ms())
        if first != digest:
            message = (
                "This Idempotency-Key came with another body before, and nothing of this one is "
                "stored: send the same body again, or another key"
            )
            raise Problem(409, "conflict", message)


def _said(body: bytes) -> bytes:
    """A body in one order and without white space; as it is when it has what cannot be read.

    That may stand in a field that means nothing here, so it is no reason to refuse.
    """
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    except UNREADABLE:
        return body
