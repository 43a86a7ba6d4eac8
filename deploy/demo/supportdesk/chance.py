"""Chance that is the same on every machine: drawn by hashing, so never by order of asking."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


def draw(seed: int, *key: str | int) -> int:
    """A number from 0 to 2**64 - 1 that depends on the seed and on every part of the key."""
    text = "\x1f".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def choose(options: Sequence[Choice], seed: int, *key: str | int) -> Choice:
    """One of the options, each as likely as another."""
    return options[draw(seed, *key) % len(options)]
