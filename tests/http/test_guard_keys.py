"""What a process knows of keys, and for how long."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.errors import Unavailable
from services.key_ring import STALE_SECONDS, KeyRing
from services.keys import KeyRecord, Scope, drawn, id_in

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Keys:
    """Keys and their changes, in memory; away while `down`."""

    def __init__(self) -> None:
        self.changes: list[KeyRecord] = []
        self.uses: list[tuple[str, datetime]] = []
        self.down = False

    async def changed_since(self, change: int) -> tuple[int, Sequence[KeyRecord]]:
        if self.down:
            message = "the store is away"
            raise Unavailable(message)
        return len(self.changes), self.changes[change:]

    async def used(self, moments: Sequence[tuple[str, datetime]]) -> None:
        self.uses.extend(moments)


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def elapsed(self) -> float:
        return self.seconds


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ring(keys: Keys, time: Time) -> KeyRing:
    return KeyRing(keys, clock=time.clock, elapsed=time.elapsed)


def made(keys: Keys, *scopes: Scope, days: float | None = None) -> tuple[KeyRecord, str]:
    expires = None if days is None else NOW + timedelta(days=days)
    record, key = drawn(
        project="shop", name="", scopes=scopes or ("ingest",), now=NOW, expires_at=expires
    )
    keys.changes.append(record)
    return record, key


def revoked(record: KeyRecord) -> KeyRecord:
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return KeyRecord(**{**values, "revoked_at": NOW})


async def test_a_key_is_known_by_all_its_letters(ring: KeyRing, keys: Keys) -> None:
    record, key = made(keys)
    await ring.refresh()
    assert ring.find(key) == record
    for wrong in (key[:-1], key + "x", key.swapcase(), record.shown, "", "er_", "er__", "Ä" * 9):
        assert ring.find(wrong) == "unknown", wrong
    assert ring.find("\udcff\x00") == "unknown"


async def test_nothing_is_known_before_the_store_was_asked_once(ring: KeyRing) -> None:
    with pytest.raises(Unavailable):
        ring.find("er_x_y")


async def test_a_revocation_and_an_expiry_are_told_apart_only_to_who_has_the_key(
    ring: KeyRing, keys: Keys, time: Time
) -> None:
    record, key = made(keys)
    _, short = made(keys, days=1)
    await ring.refresh()
    keys.changes.append(revoked(record))
    await ring.refresh()
    assert ring.find(key) == "revoked"
    assert ring.find(f"{record.shown}_guessed") == "unknown"
    assert isinstance(ring.find(short), KeyRecord)
    time.seconds = 86_400
    await ring.refresh()
    assert ring.find(short) == "expired"
    assert ring.usable() == []


async def test_the_last_known_keys_hold_while_the_store_is_away_but_not_for_ever(
    ring: KeyRing, keys: Keys, time: Time
) -> None:
    record, key = made(keys)
    await ring.refresh()
    keys.down = True
    time.seconds = STALE_SECONDS
    with pytest.raises(Unavailable):
        await ring.refresh()
    assert ring.find(key) == record
    time.seconds = STALE_SECONDS + 1
    with pytest.raises(Unavailable, match="cannot be checked"):
        ring.find(key)
    keys.down = False
    await ring.refresh()
    assert ring.find(key) == record


def test_the_id_is_read_from_a_key_and_from_what_is_shown_of_it() -> None:
    assert id_in("er_abc_secret") == id_in("er_abc") == "abc"
    assert id_in("sk-lf-123") == ""
