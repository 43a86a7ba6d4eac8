"""Placeholders: `<EMAIL_k7f3q9x2>` across a project, `<EMAIL_1>` in a trace that is scored."""

import base64
import hashlib
import re
from typing import Any

import msgspec

from capture.trace import Trace

LINK = "evalratchet.redacted"
"""In a trace's metadata: which placeholder of the trace is which of the project."""

_HASH_BYTES = 5  # 40 bits: of a million values of a kind one in two million shares its placeholder
_PERSON = b"evalratchet.red"  # of BLAKE2b: this key serves nothing else
_KEY_BYTES = 32

PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]{0,31}_(?:[a-z2-7]{8}|[1-9][0-9]{0,5})>")
"""Either form. What stands in one is never looked at again."""

_HASHED = re.compile(r"<([A-Z][A-Z0-9_]{0,31})_([a-z2-7]{8})>")
_HASHED_BYTES = re.compile(_HASHED.pattern.encode())  # in JSON it is written as it is


def project_key(secret: bytes, project: str) -> bytes:
    """The key of one project, so that equal values of two projects cannot be linked."""
    key = hashlib.blake2b(secret, digest_size=_KEY_BYTES).digest()  # a secret of any length
    return hashlib.blake2b(
        project.encode(), key=key, digest_size=_KEY_BYTES, person=_PERSON
    ).digest()


def placeholder(key: bytes, kind: str, value: str) -> str:
    """What stands for a value: equal exactly for equal kind and value, under one project's key."""
    data = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(data, key=key, digest_size=_HASH_BYTES, person=_PERSON).digest()
    return f"<{kind.upper()}_{base64.b32encode(digest).decode().lower()}>"


def numbered(trace: Trace) -> Trace:
    """The trace with its placeholders numbered by kind, in order of first appearance.

    Two users' same failure reads the same then. `metadata["evalratchet.redacted"]` keeps
    {"<EMAIL_1>": "k7f3q9x2"}, the link across the project. Who it was (`user_id`, `session_id`)
    and the trace's own id keep the project's form.
    """
    numbers: dict[str, str] = {}
    counts: dict[str, int] = {}
    link: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        known = numbers.get(match[0])
        if known is None:
            kind = match[1]
            counts[kind] = counts.get(kind, 0) + 1
            known = numbers[match[0]] = f"<{kind}_{counts[kind]}>"
            link[known] = match[2]
        return known

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return _HASHED.sub(number, value) if "<" in value else value
        if isinstance(value, dict):
            return {renamed(name): renamed(inner) for name, inner in value.items()}
        return [renamed(inner) for inner in value] if isinstance(value, list) else value

    if _HASHED_BYTES.search(msgspec.json.encode(trace)) is None:  # most traces have none
        return trace
    told = msgspec.to_builtins(trace)
    kept = {"trace_id", "project", "user_id", "session_id"}
    order = ("input", "steps", "output")  # as the trace is read
    names = [*(n for n in order if n in told), *(n for n in told if n not in order)]
    changed = {name: told[name] if name in kept else renamed(told[name]) for name in names}
    if not link:
        return trace
    changed["metadata"] = {**changed.get("metadata", {}), LINK: link}
    return msgspec.convert(changed, Trace)
