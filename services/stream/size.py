"""How large a message may be, on whichever stream it goes."""

from collections.abc import Sequence

from services.stream.port import Message

HEADROOM_BYTES = 64 * 1024
"""What a topic takes beside a message's value: key, headers, the log's own framing."""

_BESIDE_BYTES = 32 * 1024  # key and headers of a message
_BESIDE_LETTER_BYTES = 60 * 1024  # of a dead letter: those of the message, and what was wrong


class TooLarge(ValueError):
    """A message that its topic does not take: sending it again will not help."""


def refuse_too_large(messages: Sequence[Message], max_message_bytes: int) -> None:
    """Look at every message before any is appended.

    Raises:
        TooLarge: the first one whose value, or whose key and headers, are over the limit.
    """
    for message in messages:
        if len(message.value) > max_message_bytes:
            text = (
                f"a message for {message.topic} has {len(message.value)} bytes, the limit is "
                f"{max_message_bytes}: raise EVALRATCHET_MAX_TRACE_BYTES, then run "
                "`evalratchet topics apply`"
            )
            raise TooLarge(text)
        letter = any(name.startswith("dlq.") for name, _ in message.headers)
        most = _BESIDE_LETTER_BYTES if letter else _BESIDE_BYTES
        beside = len(message.key) + sum(len(name) + len(value) for name, value in message.headers)
        if beside > most:
            text = (
                f"a message for {message.topic} has {beside} bytes of key and headers, "
                f"the limit is {most}"
            )
            raise TooLarge(text)
