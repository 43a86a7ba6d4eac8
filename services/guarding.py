"""What the HTTP side remembers, opened; and the refusal to listen to the world without a key."""

from collections.abc import Callable
from datetime import datetime

from services.http.app import Remembering
from services.http.connection import ConnectionLimits
from services.http.credentials import needed
from services.http.idempotency import Idempotency
from services.http.knob import Asking
from services.key_ring import KeyRing
from services.settings import Settings, SettingsError
from services.store.open import Store


async def remembering(
    settings: Settings, store: Store, clock: Callable[[], datetime]
) -> Remembering:
    """Keys as they are now, and idempotency. `ring.keep_fresh` is for the caller to run.

    Raises:
        Unavailable: the store is away.
        SettingsError: keys are needed and there is none to send anything with.
    """
    ring = KeyRing(store.keys, clock=clock)
    await ring.refresh()
    if needed(settings.auth, settings.listen):
        _require_a_key(settings, ring)
    idempotency = Idempotency(
        store.idempotency,
        store.secrets.get_or_make,
        clock_ms=lambda: int(clock().timestamp() * 1000),
    )
    asking = Asking(knob=store.knob, policies=store.policies)
    return Remembering(
        keys=store.keys,
        ring=ring,
        idempotency=idempotency,
        changes=store.changes,
        grey=store.grey,
        asking=asking,
        modes=store.modes,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """What connections are held to by these settings."""
    return ConnectionLimits(
        header_seconds=settings.header_seconds,
        dropped_bytes=2 * settings.max_request_bytes,
        max_connections=settings.max_connections,
    )


def _require_a_key(settings: Settings, ring: KeyRing) -> None:
    if any({"ingest", "admin"} & set(record.scopes) for record in ring.usable()):
        return  # an administrator makes the others while it runs
    why = (
        "EVALRATCHET_AUTH=required"
        if settings.auth == "required"
        else f"EVALRATCHET_LISTEN={settings.listen}: other machines can reach this address"
    )
    message = (
        f"{why}, and there is no API key to send with.\n"
        "Make one: `evalratchet keys create PROJECT --scope ingest --name 'my app'`, with the same "
        "settings, then start again.\n"
        "Or listen on this machine alone: EVALRATCHET_LISTEN=127.0.0.1:8321.\n"
        "Or, when something else guards the port, say so: EVALRATCHET_AUTH=off."
    )
    raise SettingsError(message)
