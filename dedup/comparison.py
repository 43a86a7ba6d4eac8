"""Two groupings of the same texts side by side: what merges, what splits, what changes pattern."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from dedup.coverage import Coverage, coverage, frequencies

_QUANTILES = (0.5, 0.75, 0.9, 0.99, 1.0)


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """One grouping in figures.

    bloat: patterns for each distinct text: 1 when nothing is grouped, near 0 when all is one.
    occurrences: failures of a pattern, by quantile (0.5 is the median, 1.0 the largest pattern).
    """

    patterns: int
    bloat: float
    occurrences: Mapping[str, float]
    coverage: Coverage


class Piece(msgspec.Struct, frozen=True):
    """Texts that are together in both groupings: the first of them (its row), how many, how often."""

    row: int
    texts: int
    occurrences: int


class Regrouping(msgspec.Struct, frozen=True):
    """A pattern of one grouping and the pieces it has in the other, the largest first."""

    group: int
    pieces: Sequence[Piece]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What another grouping would change.

    merging: patterns of the new grouping made of several of the old; splitting: patterns of the old
    that are in several of the new; both with the most failures concerned first. unchanged: patterns
    with exactly the same texts. moved: rows (m,) int64 of the texts that leave their pattern, when
    each pattern goes on as the new one that has most of its failures; moved_failures: how many they
    are. goes_to: (n,) int64, for each text the code of the old pattern that its new one goes on as,
    -1 where it is a pattern that was not there.
    """

    before: Grouping
    after: Grouping
    unchanged: int
    merging: Sequence[Regrouping]
    splitting: Sequence[Regrouping]
    moved: np.ndarray
    moved_failures: int
    goes_to: np.ndarray


def grouping(groups: np.ndarray, occurrences: np.ndarray) -> Grouping:
    """The figures of a grouping. groups: (n,) int64 codes; occurrences: (n,) int64, failures a text."""
    sizes = _sizes(groups, occurrences)
    sizes = sizes[sizes > 0]
    quantiles = np.quantile(sizes, _QUANTILES) if len(sizes) else np.zeros(len(_QUANTILES))
    return Grouping(
        patterns=len(sizes),
        bloat=len(sizes) / max(1, int((occurrences > 0).sum())),
        occurrences={f"{q:g}": float(v) for q, v in zip(_QUANTILES, quantiles, strict=True)},
        coverage=coverage(frequencies(sizes)),
    )


def compared(before: np.ndarray, after: np.ndarray, occurrences: np.ndarray) -> Comparison:
    """Compare two groupings of the same texts. All (n,) int64: codes, codes, failures of each text."""
    pieces = _pieces(before, after, occurrences)
    of_old: defaultdict[int, list[tuple[int, Piece]]] = defaultdict(list)
    of_new: defaultdict[int, list[tuple[int, Piece]]] = defaultdict(list)
    for (old, new), piece in pieces.items():
        of_old[old].append((new, piece))
        of_new[new].append((old, piece))
    goes_to = _goes_to(after, _heirs(pieces))
    stays = goes_to == before
    unchanged = sum(len(parts) == 1 and len(of_new[parts[0][0]]) == 1 for parts in of_old.values())
    return Comparison(
        before=grouping(before, occurrences),
        after=grouping(after, occurrences),
        unchanged=unchanged,
        merging=_regrouped(of_new),
        splitting=_regrouped(of_old),
        moved=np.flatnonzero(~stays),
        moved_failures=int(occurrences[~stays].sum()),
        goes_to=goes_to,
    )


def _sizes(groups: np.ndarray, occurrences: np.ndarray) -> np.ndarray:
    _, inverse = np.unique(groups, return_inverse=True)
    return np.bincount(inverse, weights=occurrences).astype(np.int64)


def _pieces(
    before: np.ndarray, after: np.ndarray, occurrences: np.ndarray
) -> dict[tuple[int, int], Piece]:
    """By old and new group, what they have in common."""
    both = np.stack([before, after], axis=1)
    pairs, first, inverse = np.unique(both, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    texts = np.bincount(inverse, minlength=len(pairs))
    failures = np.bincount(inverse, weights=occurrences, minlength=len(pairs)).astype(np.int64)
    rows = zip(pairs.tolist(), first.tolist(), texts.tolist(), failures.tolist(), strict=True)
    return {(old, new): Piece(row, many, often) for (old, new), row, many, often in rows}


def _heirs(pieces: Mapping[tuple[int, int], Piece]) -> dict[int, int]:
    """Which new group each old one goes on as, one to one, the greatest piece first."""
    heirs: dict[int, int] = {}
    taken: set[int] = set()
    order = sorted(pieces.items(), key=lambda item: (-item[1].occurrences, item[1].row))
    for (old, new), _ in order:
        if old not in heirs and new not in taken:
            heirs[old] = new
            taken.add(new)
    return heirs


def _goes_to(after: np.ndarray, heirs: Mapping[int, int]) -> np.ndarray:
    old_of = {new: old for old, new in heirs.items()}
    codes, inverse = np.unique(after, return_inverse=True)
    old = np.array([old_of.get(int(code), -1) for code in codes], dtype=np.int64)
    return old[inverse.reshape(-1)] if len(codes) else np.zeros(0, dtype=np.int64)


def _regrouped(groups: Mapping[int, Sequence[tuple[int, Piece]]]) -> list[Regrouping]:
    """Groups of several pieces; those where the most failures are in the lesser pieces first."""
    several = [
        Regrouping(group, sorted((p for _, p in parts), key=lambda p: (-p.occurrences, p.row)))
        for group, parts in groups.items()
        if len(parts) > 1
    ]
    several.sort(key=lambda one: (-sum(p.occurrences for p in one.pieces[1:]), one.pieces[0].row))
    return several
