"""One answer at a time: a key on a terminal, a line from a pipe."""

import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from services.cli.problem import note

T = TypeVar("T")

_END = frozenset({"", "\x03", "\x04"})  # the end of input, Ctrl-C, Ctrl-D


def chosen(keys: Mapping[str, T], prompt: str, *, at_end: T) -> T:
    """The choice of the next key that is one of these; of a line its first letter counts.

    The end of the input, Ctrl-C and Ctrl-D are `at_end`.
    """
    if not sys.stdin.isatty():
        return _from_line(keys, prompt, at_end)
    with _unbuffered():  # before the prompt: a key that is pressed as it appears counts
        print(prompt, end=" ", flush=True)
        while True:
            try:
                pressed = sys.stdin.read(1).lower()
            except KeyboardInterrupt:
                pressed = ""
            if pressed in _END or pressed in keys:
                print("" if pressed in _END else pressed)
                return at_end if pressed in _END else keys[pressed]


def _from_line(keys: Mapping[str, T], prompt: str, at_end: T) -> T:
    """The answer, which is written behind its question: a pipe does not show what was typed."""
    while True:
        print(prompt, end=" ", flush=True)  # who answers over a pipe waits for the question
        line = sys.stdin.readline()
        letter = line.strip()[:1].lower()
        if letter in keys or not line:
            print(letter, flush=True)
            return keys[letter] if line else at_end
        print(flush=True)  # or what is said of it, on standard error, stood in the same line
        note(f"{line.strip()!r} is none of {', '.join(keys)}.")


@contextmanager
def _unbuffered() -> Iterator[None]:
    """Keys without waiting for Enter, and without showing them."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # the default throws away what was typed
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
