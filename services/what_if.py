"""What-if: a project's stored history at another distance, beside what it is today."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from dedup.comparison import Comparison, Grouping, Piece, Regrouping, compared
from dedup.curves import Curves, curves
from dedup.history import History
from dedup.medoid import FEWEST, medoid
from dedup.policy import Representative
from dedup.what_if import replay
from services.knob import KnobReader, Recorded

_MOVED_SHOWN = 1000
_PIECES_SHOWN = 4


class PatternPart(msgspec.Struct, frozen=True, kw_only=True):
    """Texts that stay together: the pattern they are in today, one of the texts, how many failures.

    text: the first, or the one in the middle, as the policy says. name: that a reviewer gave the pattern.
    """

    pattern_id: str
    name: str | None = None
    text: str
    texts: int
    failures: int


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A merge (parts become one pattern) or a split (parts of one pattern become several).

    `more`: parts beyond those shown.
    """

    parts: Sequence[PatternPart]
    more: int = 0


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A text whose failures change pattern. `to`: null for a pattern that is not there today."""

    fingerprint: str
    failures: int
    from_pattern: str
    to_pattern: str | None


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `today` and `then` are the groupings; counts are of patterns unless they say else.

    `moved`: the first thousand texts that change pattern, in the order they were decided.
    `notes`: what one has to know to read the figures rightly.
    """

    project: str
    space: str
    distance: float
    current_distance: float
    since: datetime | None
    texts: int
    failures: int
    today: Grouping
    then: Grouping
    unchanged: int
    merging: int
    splitting: int
    moved_texts: int
    moved_failures: int
    merges: Sequence[Example]
    splits: Sequence[Example]
    moved: Sequence[Moved]
    curves: Curves
    notes: Sequence[str]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: the distance, since when, and how many examples of merges and of splits.

    representative: which text of an example's parts is shown.
    """

    distance: float
    since: datetime | None = None
    examples: int = 5
    representative: Representative = "first"


class _Words(msgspec.Struct, frozen=True):
    """What examples say: texts by fingerprint, and names by pattern id."""

    texts: Mapping[str, str]
    names: Mapping[str, str]


async def what_if(
    reader: KnobReader, project: str, asked: Asked, *, current: float, adaptive: bool = False
) -> WhatIf | None:
    """Replay off the event loop; None when the project has no vectors yet. Raises `Unavailable`."""
    recorded = await reader.history(project, since=asked.since)
    if recorded is None or not len(recorded.history):
        return None
    compared_, drawn = await asyncio.to_thread(_computed, recorded.history, asked)
    shown = _shown(compared_, asked.examples)
    rows = sorted({piece.row for one in shown for piece in one.pieces[:_PIECES_SHOWN]})
    prints = [recorded.history.fingerprints[row] for row in rows]
    texts = await reader.texts(project, recorded.space, prints)
    ids = sorted({recorded.history.names[int(recorded.history.patterns[row])] for row in rows})
    return _answer(
        recorded,
        asked,
        compared_,
        drawn,
        _Words(texts, await reader.called(project, ids)),
        current=current,
        notes=_notes(recorded, asked, drawn, adaptive=adaptive),
    )


def _computed(history: History, asked: Asked) -> tuple[Comparison, Curves]:
    counted = history.asked > 0
    after = replay(history, asked.distance).groups
    # patterns that had no failure in the time asked for are not counted, but were there to join
    found = compared(history.patterns[counted], after[counted], history.asked[counted])
    rows = np.flatnonzero(counted)
    drawn = curves(history.only(rows))
    found = _with_rows(found, rows)
    if asked.representative == "medoid":
        both = np.where(counted, history.patterns, -1), np.where(counted, after, -1)
        found = _with_medoids(found, history, both, asked.examples)
    return found, drawn


def _with_medoids(
    found: Comparison, history: History, both: tuple[np.ndarray, np.ndarray], examples: int
) -> Comparison:
    """The comparison with the middle text of each piece that is shown, for its first.

    both: codes (n,) int64 of the two groupings, -1 for what is not compared.
    """
    geometry, _ = history.geometry_at(len(history))

    def middle(piece: Piece) -> Piece:
        old, new = (codes[piece.row] for codes in both)
        rows = np.flatnonzero((both[0] == old) & (both[1] == new))
        vectors = history.vectors[rows]
        at = medoid(vectors, geometry) if len(rows) >= FEWEST else 0
        return msgspec.structs.replace(piece, row=int(rows[at]))

    def shown(ones: Sequence[Regrouping]) -> list[Regrouping]:
        return [
            Regrouping(
                one.group,
                [middle(p) for p in one.pieces[:_PIECES_SHOWN]] + list(one.pieces[_PIECES_SHOWN:]),
            )
            for one in ones[:examples]
        ] + list(ones[examples:])

    return msgspec.structs.replace(
        found, merging=shown(found.merging), splitting=shown(found.splitting)
    )


def _with_rows(found: Comparison, rows: np.ndarray) -> Comparison:
    """The comparison of some rows, with the rows as the whole history counts them."""

    def moved(ones: Sequence[Regrouping]) -> list[Regrouping]:
        return [
            Regrouping(
                one.group,
                [msgspec.structs.replace(piece, row=int(rows[piece.row])) for piece in one.pieces],
            )
            for one in ones
        ]

    return msgspec.structs.replace(
        found,
        merging=moved(found.merging),
        splitting=moved(found.splitting),
        moved=rows[found.moved],
        goes_to=_spread(found.goes_to, rows),
    )


def _spread(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    spread = np.full(int(rows[-1]) + 1 if len(rows) else 0, -1, dtype=np.int64)
    spread[rows] = values
    return spread


def _shown(found: Comparison, examples: int) -> list[Regrouping]:
    return [*found.merging[:examples], *found.splitting[:examples]]


def _answer(
    recorded: Recorded,
    asked: Asked,
    found: Comparison,
    drawn: Curves,
    words: "_Words",
    *,
    current: float,
    notes: Sequence[str],
) -> WhatIf:
    history = recorded.history

    def example(one: Regrouping) -> Example:
        shown = one.pieces[:_PIECES_SHOWN]
        parts = [
            PatternPart(
                pattern_id=history.names[int(history.patterns[piece.row])],
                name=words.names.get(history.names[int(history.patterns[piece.row])]),
                text=words.texts.get(history.fingerprints[piece.row], ""),
                texts=piece.texts,
                failures=piece.occurrences,
            )
            for piece in shown
        ]
        return Example(parts=parts, more=len(one.pieces) - len(shown))

    return WhatIf(
        project=recorded.project,
        space=recorded.space,
        distance=asked.distance,
        current_distance=current,
        since=asked.since,
        texts=int((history.asked > 0).sum()),
        failures=int(history.asked.sum()),
        today=found.before,
        then=found.after,
        unchanged=found.unchanged,
        merging=len(found.merging),
        splitting=len(found.splitting),
        moved_texts=len(found.moved),
        moved_failures=found.moved_failures,
        merges=[example(one) for one in found.merging[: asked.examples]],
        splits=[example(one) for one in found.splitting[: asked.examples]],
        moved=[_moved(history, found, int(row)) for row in found.moved[:_MOVED_SHOWN]],
        curves=drawn,
        notes=notes,
    )


def _moved(history: History, found: Comparison, row: int) -> Moved:
    to = int(found.goes_to[row])
    return Moved(
        fingerprint=history.fingerprints[row],
        failures=int(history.asked[row]),
        from_pattern=history.names[int(history.patterns[row])],
        to_pattern=history.names[to] if to >= 0 else None,
    )


def _notes(recorded: Recorded, asked: Asked, drawn: Curves, *, adaptive: bool) -> list[str]:
    notes = []
    if asked.since is not None:
        notes.append(
            "Only failures since then are counted. Patterns that were there before stay as they are, "
            "and newer failures may join them."
        )
    if recorded.by_hand:
        notes.append(
            f"Patterns that a person merged or split: {recorded.by_hand}. What they put together stays "
            "together and what they set apart stays apart, at any distance; the rest is decided anew."
        )
    if recorded.without_vector:
        notes.append(
            f"{recorded.without_vector} texts ({recorded.failures_without_vector} failures) have no "
            "vector in the space that serves the project, and are left out: they were decided before "
            "it was kept."
        )
    if adaptive:
        notes.append(
            "The distance follows coverage in this project; here it is the same from the first "
            "failure to the last."
        )
    if drawn.texts < drawn.of:
        notes.append(
            f"The curves are drawn from a sample of {drawn.texts} of {drawn.of} texts, always the "
            "same: their shape is right, their height is that of a smaller history."
        )
    return notes
