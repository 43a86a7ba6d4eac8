"""Which answers to drawn pairs a calibration can use, and why it cannot use the others."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.joining import Joining
from dedup.labels import DRAWN, Answer


class Unused(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers to drawn pairs were not used.

    beyond_reach: no distance that was tried joins their pairs. guards_differ: their failures went wrong
    in different places, and are never one pattern. not_there: a text of theirs is not among those that
    were looked at.
    """

    beyond_reach: int = 0
    guards_differ: int = 0
    not_there: int = 0


def used(pairs: Joining, answers: Sequence[Answer]) -> tuple[np.ndarray, np.ndarray, Unused]:
    """Pairs that can be used, (a,) int64, what was said of each, (a,) bool: same, and what is left out."""
    said = [answer for answer in answers if answer.source in DRAWN]
    at = pairs.pairs(answer.pair for answer in said)
    same = np.array([answer.verdict == "same" for answer in said], dtype=bool)
    found = at >= 0
    there = set(pairs.history.fingerprints)
    lost = sum(not there.issuperset(answer.pair) for answer in said)
    within = found.copy()
    within[found] = pairs.at[at[found]] < len(pairs.distances)
    unused = Unused(
        beyond_reach=int((found & ~within).sum()),
        guards_differ=int((~found).sum()) - lost,
        not_there=lost,
    )
    return at[within], same[within], unused
