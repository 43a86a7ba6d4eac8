"""Lists in questions, in few lengths.

A server parses and plans a statement once on each connection if it has seen its very text before, and
is asked twice if it has not. `IN ($1, $2, $3)` has another text for every length.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MOST = 8192  # beyond, reading takes longer than planning, and there is a most of parameters


def padded(values: Sequence[T]) -> list[T]:
    """The same set of values, its last one repeated up to a power of two of them.

    None stay none, and more than a few thousand stay as many as they are.
    """
    if not values or len(values) > _MOST:
        return [*values]
    wanted = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (wanted - len(values))]
