"""What was found in a text, and which of it is put away as one."""

from collections.abc import Iterable

import msgspec

_RANK = {"phone": 1, "national_id": 2, "secret": 1}  # of two for one place the lower is surer


class Found(msgspec.Struct, frozen=True):
    """Characters `start` to `end` of a text are of this kind.

    `value` is what is hashed: the same thing written in two ways has one value.
    """

    start: int
    end: int
    kind: str
    value: str
    sure: bool = False
    """Whether words beside it say what it is."""


def apart(found: Iterable[Found], text: str) -> list[Found]:
    """The findings in order of place, none overlapping another.

    What overlaps is put away together, from the first start to the last end: none of it remains.
    The longest gives the kind, and the value if it covers all.
    """
    merged: list[Found] = []
    longest = 0
    for one in sorted(
        found, key=lambda f: (f.start, -f.end, not f.sure, _RANK.get(f.kind, 0), f.kind)
    ):
        last = merged[-1] if merged else None
        if last is None or one.start >= last.end:
            merged.append(one)
            longest = one.end - one.start
            continue
        if one.end <= last.end:
            continue
        kind = one.kind if one.end - one.start > longest else last.kind
        longest = max(longest, one.end - one.start)
        merged[-1] = Found(last.start, one.end, kind, text[last.start : one.end])
    return merged
