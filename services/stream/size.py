"""How large a message may be, on whichever stream it goes."""

from collections.abc import Sequence

from services.stream.port import Message

HEADROOM_BYTES = 64 * 1024
"""What a topic takes beside a message's value: key, headers, the log's own framing."""


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
        beside = len(message.key) + sum(len(name) + len(value) for name, value in message.headers)
        if beside > HEADROOM_BYTES // 2:
            text = (
                f"a message for {message.topic} has {beside} bytes of key and headers, "
                f"the limit is {HEADROOM_BYTES // 2}"
            )
            raise TooLarge(text)
