"""API keys: what one looks like, what is kept of it, and what is shown.

A key is `er_ID_SECRET`. The id may be shown and is how a key is named; the secret has 256 random
bits, so that a plain SHA-256 of the key is all that is kept, and all that is safe to keep: there is
nothing to guess (docs/decisions/0015-guards-and-keys.md).
"""

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec

from capture.trace import ProjectName

Scope = Literal[
    "ingest",  # post traces, logs and feedback
    "read",  # read patterns, cases, state and metrics
    "review",  # decide about cases
    "admin",  # keys and policy
]
SCOPES: tuple[Scope, ...] = get_args(Scope)

MARK = "er_"
_ALPHABET = string.ascii_letters + string.digits
_ID_LETTERS = 12  # 71 bits: two keys of one id would need billions of keys
_SECRET_LETTERS = 43  # 256 bits


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept and shown; `digest` is the SHA-256 of the whole key, 32 bytes."""

    key_id: str
    digest: bytes
    project: str | None
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def shown(self) -> str:
        """The part of the key that may be shown."""
        return f"{MARK}{self.key_id}"

    def usable(self, now: datetime) -> bool:
        """Whether the key opens anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key as it is asked for."""

    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=8)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    project: ProjectName | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class ShownKey(msgspec.Struct):
    """A key as it may be shown: never the key itself, but when it was just made."""

    id: str
    prefix: str
    name: str
    project: str | None
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    key: str | msgspec.UnsetType = msgspec.UNSET


def draw() -> tuple[str, str]:
    """A new key: its id, and the whole of it, which is shown once and kept nowhere."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LETTERS))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LETTERS))
    return key_id, f"{MARK}{key_id}_{secret}"


def digest_of(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def id_in(key: str) -> str:
    """The id that a key, or the part of it that may be shown, says; empty when it is none of ours."""
    if not key.startswith(MARK):
        return ""
    return key[len(MARK) :].partition("_")[0]


def shown(record: KeyRecord, key: str | msgspec.UnsetType = msgspec.UNSET) -> ShownKey:
    """A key's record as it may be shown."""
    return ShownKey(
        id=record.key_id,
        prefix=record.shown,
        name=record.name,
        project=record.project,
        scopes=list(record.scopes),
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
        last_used_at=record.last_used_at,
        key=key,
    )


def drawn(
    *,
    project: str | None,
    name: str,
    scopes: Sequence[Scope],
    now: datetime,
    expires_at: datetime | None,
) -> tuple[KeyRecord, str]:
    """A new key: what is kept of it, and the key."""
    key_id, key = draw()
    record = KeyRecord(
        key_id=key_id,
        digest=digest_of(key),
        project=project,
        name=name,
        scopes=tuple(sorted(set(scopes))),
        created_at=now,
        expires_at=expires_at,
    )
    return record, key
