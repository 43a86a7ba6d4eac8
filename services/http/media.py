"""Content types, and the other headers that clients send with their data."""

import re
from email.message import Message

from starlette.requests import Request

from capture.malformed import Malformed

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

_PROTOBUF_NAMES = frozenset({PROTOBUF, "application/protobuf"})
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_LONGEST_KEY = 255


def media_type(request: Request) -> str | None:
    """`JSON`, `PROTOBUF`, or None: something else, or JSON in another charset than UTF-8."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header.get_content_type()
    if kind in _PROTOBUF_NAMES:
        return PROTOBUF
    charset = header.get_param("charset", "utf-8")
    utf8 = isinstance(charset, str) and charset.lower().replace("_", "-") in {"utf-8", "utf8"}
    return JSON if kind == JSON and utf8 else None


def traceparent_of(request: Request) -> str | None:
    """The W3C trace context of whoever sends, when it is a valid one."""
    value = request.headers.get("traceparent", "").strip()
    return value if _TRACEPARENT.fullmatch(value) else None


def idempotency_key_of(request: Request) -> str | None:
    """The `Idempotency-Key`, if given. Raises `Malformed` when it is no key."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        message = f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable characters"
        raise Malformed(message)
    return key
