"""Which API keys a process knows of."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol

import structlog

from services.errors import Unavailable
from services.keys import KeyRecord, digest_of, id_in

REFRESH_SECONDS = 1.0  # so that a revocation holds everywhere within two
STALE_SECONDS = 900.0  # how long the last known keys do while the store is away
_PATIENCE_SECONDS = 5.0  # for one question to the store
_USED_SECONDS = 60.0  # how often it is written down which keys were used

Verdict = Literal[
    "unknown",  # no such key, or not its secret
    "revoked",
    "expired",
]

log = structlog.get_logger()


class KeyChanges(Protocol):
    """What a process that knows keys needs of the store."""

    async def changed_since(self, change: int) -> tuple[int, Sequence[KeyRecord]]:
        """The number of the newest change, and the keys that changed after `change`."""

    async def used(self, moments: Sequence[tuple[str, datetime]]) -> None:
        """Note when keys, by id, were last used."""


class KeyRing:
    """The keys a process knows of: those of the store, at most a second or two old.

    Everything is in memory, so a flood of wrong keys costs the store nothing. While the store is
    away the last known keys hold for `STALE_SECONDS`; after that nobody is let in, because a key
    that was revoked in the meantime could not be told from one that was not.
    """

    def __init__(
        self,
        store: KeyChanges,
        *,
        clock: Callable[[], datetime],
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet. `elapsed` gives seconds that never go back."""
        self._store = store
        self._clock = clock
        self._elapsed = elapsed
        self._known: dict[str, tuple[KeyRecord, float | None]] = {}
        self._change = 0
        self._refreshed: float | None = None
        self._used: dict[str, datetime] = {}
        self._noted = elapsed()

    async def refresh(self) -> None:
        """Learn what changed. Raises `Unavailable`."""
        asked = self._elapsed()
        self._change, changed = await self._store.changed_since(self._change)
        for record in changed:
            expires = None if record.expires_at is None else record.expires_at.timestamp()
            self._known[record.key_id] = (record, expires)
        self._refreshed = asked

    async def keep_fresh(self, stop: asyncio.Event) -> None:
        """Learn what changed, again and again, until `stop` is set."""
        told = False
        while not stop.is_set():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self.refresh()
                    await self._note_uses()
                told = False
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
                if not told:
                    log.warning("keys_not_refreshed", why=repr(error), good_for_s=STALE_SECONDS)
                told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REFRESH_SECONDS)
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._store.used(sorted(self._used.items()))

    def find(self, key: str) -> KeyRecord | Verdict:
        """Whose key this is, or why it opens nothing.

        Raises `Unavailable` when what is known is too old to say.
        """
        refreshed = self._refreshed
        if refreshed is None or self._elapsed() - refreshed > STALE_SECONDS:
            message = f"API keys cannot be checked: the store was away for {STALE_SECONDS:.0f} s"
            raise Unavailable(message)
        known = self._known.get(id_in(key))
        if known is None or not hmac.compare_digest(known[0].digest, digest_of(key)):
            return "unknown"
        record, expires = known
        if record.revoked_at is not None:
            return "revoked"
        now = self._clock()
        if expires is not None and now.timestamp() >= expires:
            return "expired"
        self._used[record.key_id] = now
        return record

    def usable(self) -> list[KeyRecord]:
        """The known keys that open something now."""
        now = self._clock()
        return [record for record, _ in self._known.values() if record.usable(now)]

    async def _note_uses(self) -> None:
        now = self._elapsed()
        if not self._used or now - self._noted < _USED_SECONDS:
            return
        self._noted = now
        uses, self._used = self._used, {}
        await self._store.used(sorted(uses.items()))
