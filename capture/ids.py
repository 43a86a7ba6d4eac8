"""Ids are derived, not drawn: the same thing sent twice has the same id on every machine."""

import hashlib
from typing import Literal

import msgspec

_DIGEST_BYTES = 16  # 128 bits: at 10^12 events the chance of any collision is about 10^-15


def derive_id(*parts: str | bytes) -> str:
    """32 hexadecimal digits that depend on every part and on where one ends and the next begins."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def piece_event_id(project: str, trace_id: str, content: bytes) -> str:
    """The id of one piece of a trace: project, trace and what the piece says.

    A repeated post is the same event; another piece of the same trace is another.
    """
    return derive_id("piece", project, trace_id, content)


def keyed_event_id(kind: Literal["trace", "feedback"], project: str, idempotency_key: str) -> str:
    """The id of an event whose sender named it with an `Idempotency-Key`.

    A trace and the feedback on it are two things, even when both are sent under the request's id.
    """
    return derive_id("key", kind, project, idempotency_key)


def failure_event_id(project: str, trace_id: str) -> str:
    """The id of a trace's failure: a trace fails at most once, whatever is learnt of it later."""
    return derive_id("failure", project, trace_id)


def canonical(event: msgspec.Struct) -> bytes:
    """The bytes an id is derived from: JSON with sorted keys."""
    return msgspec.json.encode(event, order="deterministic")
