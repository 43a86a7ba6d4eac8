"""A request that cannot be read at all, and how to say so to whoever sent it."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises, whatever the bytes are."""

_IN_WORDS = {
    "`str` matching regex '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\\\Z'": (
        "a project name: 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a"
        " letter or a digit"
    ),
    "`str` of length >= 1": "text of 1 to 128 characters, and this is empty",
    "`str` of length <= 128": "text of 1 to 128 characters, and this is longer",
}


class Malformed(ValueError):
    """The bytes are not the request they claim to be; the message says where."""


def json_trouble(error: Exception, body: bytes) -> str:
    """What is wrong with a JSON body; `error` is one of `UNREADABLE`."""
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        before = error.object[max(0, error.start - 20) : error.start].decode("utf-8", "replace")
        place = f"after {before!r}" if before else "at the beginning of a string"
        return f"the JSON is not UTF-8: {error.reason} {place}"
    if not body.strip():
        return "the body is empty"
    text = str(error)
    if text == "Input data was truncated":
        return f"the JSON ends before it is complete (byte {len(body)})"
    for ours, meaning in _IN_WORDS.items():
        text = text.replace(ours, meaning)
    return text[:1].lower() + text[1:] if text.startswith("Expected") else text
