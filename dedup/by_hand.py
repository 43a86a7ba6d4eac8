"""What people said by merging and splitting patterns: which texts belong together, and which do not.

A replay at another distance keeps to it and decides about everything else anew. A merge says that the
texts the patterns had then are one failure; a split that those it took away are one, and another one
than those it left. What came later nobody has looked at. What was said last holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

_SEED = 7  # of the marks that texts of equal rules are told by: the same every time


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A merge or a split that holds, as it was carried out.

    said: whether a person said so; what only carries out a distance just moves texts.
    until: the latest occurrence there was; None where that is not known: all that is there.
    root: the pattern that others were merged into, or that texts were split from.
    members: of a merge, by merged root the patterns that were part of it.
    made, texts: of a split, the pattern it made, and by row of a text where it was stored before.
    """

    kind: Literal["merge", "split"]
    said: bool
    until: int | None
    root: str
    members: Mapping[str, Sequence[str]] = {}
    made: str = ""
    texts: Mapping[int, str] = {}


class Camp(msgspec.Struct, frozen=True):
    """Sides of rules as bits: those that a text is on, and those that it must not be with."""

    of: int
    against: int


FREE = Camp(0, 0)


class ByHand(msgspec.Struct, frozen=True):
    """What holds for each of n texts.

    together: (n,) int64; texts of one number other than -1 are one pattern.
    camps: (n,) int64, places in `sides`; 0 for a text that is free.
    """

    together: np.ndarray
    camps: np.ndarray
    sides: Sequence[Camp]

    def only(self, rows: np.ndarray) -> "ByHand":
        """The same for some of the texts."""
        return ByHand(self.together[rows], self.camps[rows], self.sides)

    @property
    def concerned(self) -> np.ndarray:
        """Whether anybody said anything about a text, (n,) bool."""
        said: np.ndarray = (self.together >= 0) | (self.camps > 0)
        return said


class _Said(msgspec.Struct):
    """Texts (rows) that are one, and those that they are not one with; none where it was a merge."""

    one: np.ndarray
    others: np.ndarray | None


def by_hand(
    stored: Sequence[str], root_of: Mapping[str, str], first: np.ndarray, changes: Sequence[Change]
) -> ByHand | None:
    """What the changes say about texts; None where nobody said anything.

    stored: by text the pattern it is stored with today; root_of: what merged patterns are part of
    today. first: (n,) int64, each text's first occurrence. changes: in the order they were made.
    """
    if not any(change.said for change in changes):
        return None
    said = list(_undone(stored, root_of, first, changes))[::-1]
    together = np.full(len(stored), -1, dtype=np.int64)
    rules: list[tuple[np.ndarray, np.ndarray]] = []
    for number, one in enumerate(said):
        if one.others is None:
            joined = np.unique(together[one.one])
            together[np.isin(together, joined[joined >= 0])] = number
        together[one.one] = number
        if one.others is None:
            _forget_within(rules, np.flatnonzero(together == number))
        else:
            rules.append((_packed(one.one, len(stored)), _packed(one.others, len(stored))))
    camps, sides = _camps(rules, together)
    return ByHand(together, camps, sides)


def _undone(
    stored: Sequence[str], root_of: Mapping[str, str], first: np.ndarray, changes: Sequence[Change]
) -> Iterator[_Said]:
    """What each change said, the latest first: patterns as they were at each, by taking it back."""
    codes: dict[str, int] = {}
    names = [*stored, *root_of, *root_of.values()]
    names += [name for change in changes for name in _named(change)]
    for name in names:
        codes.setdefault(name, len(codes))
    place = np.array([codes[name] for name in stored], dtype=np.int64)
    root = np.arange(len(codes))
    for part, whole in root_of.items():
        root[codes[part]] = codes[whole]
    for change in reversed(changes):
        there = first <= change.until if change.until is not None else np.ones(len(first), bool)
        whole = there & (root[place] == codes[change.root])
        if change.kind == "merge":
            if change.said:
                yield _Said(np.flatnonzero(whole), None)
            for merged, parts in change.members.items():
                for part in parts:
                    root[codes[part]] = codes[merged]
        else:
            rows = np.array(sorted(change.texts), dtype=np.int64)
            whole[rows] = False
            if change.said and len(rows):
                yield _Said(rows, np.flatnonzero(whole))
            place[place == codes[change.made]] = codes[change.root]  # what has joined it since
            for row, before in change.texts.items():
                place[row] = codes[before]


def _named(change: Change) -> Iterator[str]:
    yield change.root
    yield change.made
    yield from change.texts.values()
    for merged, parts in change.members.items():
        yield merged
        yield from parts


def _packed(rows: np.ndarray, texts: int) -> np.ndarray:
    """Rows as bits: a thousand reviews of a pattern of a hundred thousand texts are 12 MB."""
    mask = np.zeros(texts, dtype=bool)
    mask[rows] = True
    return np.packbits(mask)


def _forget_within(rules: Sequence[tuple[np.ndarray, np.ndarray]], rows: np.ndarray) -> None:
    """Texts that somebody put together are not kept apart by what was said before."""
    if not len(rows):
        return
    for one, others in rules:
        bits = np.unpackbits(one)[rows]
        if bits.any():
            kept = np.unpackbits(others)
            kept[rows] = 0
            others[:] = np.packbits(kept)


def _camps(
    rules: Sequence[tuple[np.ndarray, np.ndarray]], together: np.ndarray
) -> tuple[np.ndarray, Sequence[Camp]]:
    """The camp of each text; texts that are together are of one camp, on every side that any is on."""
    texts = len(together)
    marks = np.zeros(texts, dtype=np.uint64)
    drawn = np.random.default_rng(_SEED).integers(1, 2**63, (len(rules), 2), dtype=np.uint64)
    for rule, own in zip(rules, drawn, strict=True):
        for packed, mark in zip(rule, own, strict=True):
            marks[np.unpackbits(packed, count=texts).astype(bool)] ^= mark
    _, firsts, camps = np.unique(marks, return_index=True, return_inverse=True)
    sides = [0] * len(firsts)
    for number, rule in enumerate(rules):
        for side, packed in enumerate(rule):
            for camp in np.flatnonzero(np.unpackbits(packed, count=texts)[firsts]):
                sides[camp] |= 1 << (2 * number + side)
    found: dict[int, int] = {0: 0}  # by sides; the first camp is that of free texts
    place = np.array([found.setdefault(of, len(found)) for of in sides], dtype=np.int64)
    of_text = place[camps]
    for group in np.unique(together[together >= 0]):
        rows = np.flatnonzero(together == group)
        every = 0
        named = list(found)
        for camp in np.unique(of_text[rows]):
            every |= named[camp]
        of_text[rows] = found.setdefault(every, len(found))
    return of_text, [Camp(of, _opposite(of, len(rules))) for of in found]


def _opposite(of: int, rules: int) -> int:
    """The other side of every rule that a camp is on a side of."""
    one = sum(1 << (2 * number) for number in range(rules))
    return ((of & one) << 1) | ((of >> 1) & one)
