"""The short way for plain words: a message of the user's or the model's that is text and nothing else.

Nearly all messages are that. Decoding one as exactly this form costs a quarter of looking at it from
all sides, as `capture.conventions.messages` does; what comes out is the same.
"""

from typing import Any, Literal

import msgspec

from capture.trace import Step

_MAY_BE_MORE = '[{"'  # text that begins so may be JSON


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text"]
    content: str


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant"]
    parts: list[_Part] = []
    """As the GenAI conventions have it."""
    content: str = ""
    """As chat completions have it."""
    finish_reason: Any = None


_decoder = msgspec.json.Decoder(_Message)


def plain_steps(message: msgspec.Raw) -> list[Step] | None:
    """The step in a message that is plain words; None when it is, or may be, anything else."""
    try:
        told = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    texts = [part.content for part in told.parts] or [told.content]
    for text in texts:
        if not text or text[0] in _MAY_BE_MORE:
            return None
    return [Step(type=told.role, content="\n".join(texts))]
