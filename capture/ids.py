"""Ids are derived, not drawn: the same thing sent twice has the same id on every machine."""

import hashlib
from typing import Literal

import msgspec

from capture.events import Piece

_DIGEST_BYTES = 16  # 128 bits: at 10^12 events the chance of any collision is about 10^-15
_BEGINNING = b'{"event_id":"'  # of every piece: it is the first field


def derive_id(*parts: str | bytes) -> str:
    """32 hexadecimal digits that depend on every part and on where one ends and the next begins."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def keyed_event_id(kind: Literal["trace", "feedback"], project: str, idempotency_key: str) -> str:
    """The id of an event whose sender named it with an `Idempotency-Key`.

    A trace and the feedback on it are two things, even when both are sent under the request's id.
    """
    return derive_id("key", kind, project, idempotency_key)


def failure_event_id(project: str, trace_id: str) -> str:
    """The id of a trace's failure: a trace fails at most once, whatever is learnt of it later."""
    return derive_id("failure", project, trace_id)


def sealed(piece: Piece) -> tuple[str, bytes]:
    """A piece's event id and its JSON, which says the id.

    A piece whose `event_id` is empty gets one derived from all it says; sealing is the last thing
    that happens to it, after redaction. One pass: the id is set into the bytes it was derived from.
    """
    content = msgspec.json.encode(piece, order="deterministic")
    if piece.event_id:
        return piece.event_id, content
    event_id = derive_id("piece", piece.project, piece.trace_id, content)
    return event_id, _BEGINNING + event_id.encode() + content[len(_BEGINNING) :]
