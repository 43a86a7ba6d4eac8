"""Which pairs of failures to ask a person about, and what answers are."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from dedup.joining import Joining

Verdict = Literal["same", "different"]
Source = Literal[
    "label",  # somebody was shown a pair that was drawn
    "grey",  # a doubtful decision was reviewed
    "merge",  # patterns were made one by hand
    "split",  # failures were taken out of a pattern by hand
]
DRAWN: frozenset[Source] = frozenset({"label", "grey"})
"""Answers to pairs that were chosen by their distance, whatever the answer. Merges and splits are
reported because they are wrong, and say nothing of how often a distance is."""

_WIDTH = 0.15
"""How fast questions thin out away from the dedup distance: half of them are within 0.1 of it, and
those at its edges are enough to see the slope (`benchmarks/calibrate.py` prints what that is worth)."""
_CANDIDATES = 5000  # of one joining distance: more are never asked about
_LOOKED_AT = (
    8  # of those, for one whose texts are fresh: with more, pairs of large patterns come too late
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was said about two failure texts, named by their fingerprints, `first` < `second`."""

    first: str
    second: str
    verdict: Verdict
    source: Source = "label"

    @property
    def pair(self) -> tuple[str, str]:
        """The two fingerprints."""
        return self.first, self.second


class Question(msgspec.Struct, frozen=True):
    """A pair to ask about: rows of the history, and the joining distance (None: beyond reach)."""

    first: int
    second: int
    distance: float | None


def in_order(one: str, other: str) -> tuple[str, str]:
    """Two fingerprints as a pair is named."""
    return (one, other) if one <= other else (other, one)


def questions(
    pairs: Joining,
    answers: Sequence[Answer],
    *,
    around: float,
    count: int,
    rng: np.random.Generator,
) -> list[Question]:
    """Draw pairs, in the order they should be asked, so that one may stop after any of them.

    How many of each joining distance are wanted falls with its distance to `around`, the dedup
    distance, on both sides; what was answered before counts. Within a joining distance pairs are
    drawn at random, turn by turn from each guard, and those whose patterns or texts were not asked
    about in this call come first. Never drawn: pairs that have an answer, and pairs beyond reach.
    """
    answered = pairs.pairs(answer.pair for answer in answers)
    drawn = pairs.pairs(answer.pair for answer in answers if answer.source in DRAWN)
    piles = _piles(pairs, answered[answered >= 0], rng)
    taken = np.bincount(pairs.at[drawn[drawn >= 0]], minlength=len(pairs.distances) + 1)
    wanted = np.exp(-np.abs(pairs.distances - around) / _WIDTH)
    asked = _Asked(pairs)
    for _ in range(count):
        open_ = [place for place, pile in enumerate(piles) if pile]
        if not open_:
            break
        # the one that is furthest behind its share (Webster's method of apportionment)
        place = max(open_, key=lambda one: wanted[one] / (taken[one] + 0.5))
        taken[place] += 1
        asked.take(piles[place])
    return [
        Question(
            int(pairs.first[one]), int(pairs.second[one]), float(pairs.distances[pairs.at[one]])
        )
        for one in asked.chosen
    ]


def _piles(pairs: Joining, answered: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
    """Pairs by joining distance, shuffled, turn by turn from each guard."""
    free = np.ones(len(pairs.at), dtype=bool)
    free[answered] = False
    _, guards = np.unique(np.array(pairs.history.guards, dtype=object), return_inverse=True)
    piles = []
    for place in range(len(pairs.distances)):
        pile = np.flatnonzero(free & (pairs.at == place))
        pile = rng.permutation(pile)
        of = guards[pairs.first[pile]]
        order = np.argsort(_turns(of), kind="stable")[:_CANDIDATES]
        piles.append(pile[order].tolist())
    return piles


def _turns(codes: np.ndarray) -> np.ndarray:
    """How many equal codes come before each, (n,) int64."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(codes)])
    lengths = np.diff(np.r_[starts, len(codes)])
    turns = np.empty(len(codes), dtype=np.int64)
    turns[order] = np.arange(len(codes)) - np.repeat(starts, lengths)
    return turns


class _Asked:
    """What was chosen so far, and what to rather not ask about again."""

    def __init__(self, pairs: Joining) -> None:
        self.chosen: list[int] = []
        self._pairs = pairs
        self._texts: set[int] = set()
        self._patterns: set[tuple[int, int]] = set()

    def take(self, pile: list[int]) -> None:
        """Move a pair from the pile to the chosen: the freshest of the first few."""
        place = min(
            range(min(len(pile), _LOOKED_AT)), key=lambda at: (self._staleness(pile[at]), at)
        )
        pair = pile.pop(place)
        self.chosen.append(pair)
        self._texts.update(self._rows(pair))
        self._patterns.add(self._of_patterns(pair))

    def _staleness(self, pair: int) -> int:
        texts = sum(row in self._texts for row in self._rows(pair))
        return 2 * texts + (self._of_patterns(pair) in self._patterns)

    def _rows(self, pair: int) -> tuple[int, int]:
        return int(self._pairs.first[pair]), int(self._pairs.second[pair])

    def _of_patterns(self, pair: int) -> tuple[int, int]:
        one, other = (int(self._pairs.history.patterns[row]) for row in self._rows(pair))
        return min(one, other), max(one, other)


def closures(answers: Iterable[Answer]) -> dict[str, int]:
    """Texts that are the same by what was said, directly or over others: fingerprint to class.

    Classes in which somebody also said "different" are left out: one of the answers is wrong.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    said = list(answers)
    for answer in said:
        if answer.verdict == "same":
            parent[root(answer.first)] = root(answer.second)
    broken = {
        root(answer.first)
        for answer in said
        if answer.verdict == "different" and root(answer.first) == root(answer.second)
    }
    numbers: dict[str, int] = {}
    return {
        name: numbers.setdefault(root(name), len(numbers))
        for name in sorted(parent)
        if root(name) not in broken
    }
