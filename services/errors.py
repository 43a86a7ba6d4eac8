"""Errors split by what whoever catches them must do."""

import asyncio


class Unavailable(Exception):
    """A dependency is down or slow: wait, then do the same again. The message names it."""


class Undecodable(ValueError):
    """Bytes that are not the event they claim to be: no retry will help."""


class Halted(RuntimeError):
    """A stage stopped itself so that a person can look. The message says what to look at."""


def is_fatal(error: BaseException) -> bool:
    """Whether the process must not go on after this error.

    Being told to stop, being out of memory, and a stage that halted itself are the process's
    business; everything else is about the one message in hand, or about a dependency.
    """
    return isinstance(
        error, (asyncio.CancelledError, KeyboardInterrupt, SystemExit, MemoryError, Halted)
    )
