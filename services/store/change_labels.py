"""What a merge or a split says about pairs of texts, for whoever fits a distance.

And what a review of a doubtful decision says beside the split that carries it out.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, delete, select, update

from services.knob import REASSIGNED
from services.pattern_changes import PatternChange
from services.store.change_rows import Before, Signed
from services.store.medoids import shown_fingerprint
from services.store.parts import in_steps, rows_of
from services.store.pattern_tables import occurrence, pair_label, pattern, pattern_change
from services.store.rewritten import written_now
from services.store.upsert import merging

Verdict = Literal["same", "different"]
Source = Literal["merge", "split"]

_put = merging(
    pair_label,
    verdict="excluded.verdict",
    source="excluded.source",
    labelled_by="excluded.labelled_by",
    labelled_at="excluded.labelled_at",
)


def representatives(
    connection: Connection, project: str, pattern_ids: Sequence[str]
) -> dict[str, str]:
    """The fingerprints of these patterns' representatives, by pattern."""
    first = and_(
        occurrence.c.project == pattern.c.project, occurrence.c.event_id == pattern.c.event_id
    )
    shown = shown_fingerprint(pattern, occurrence.c.fingerprint).label("fingerprint")
    rows = rows_of(
        connection,
        pattern_ids,
        lambda some: (
            select(pattern.c.pattern_id, shown)
            .select_from(pattern.join(occurrence, first))
            .where(pattern.c.project == project, pattern.c.pattern_id.in_(some))
        ),
    )
    return {row.pattern_id: row.fingerprint for row in rows}


def label_pairs(
    connection: Connection,
    project: str,
    pairs: Iterable[tuple[str, str]],
    verdict: Verdict,
    source: Source,
    signed: Signed,
) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Keep what was said last. Returns the pairs whose label changed, and the label they had.

    A change that only carries out a distance says nothing about these failures: it is no label.
    """
    if signed.reason.startswith(REASSIGNED):
        return []
    asked = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    there = {(row.first, row.second): row for row in _labels_of(connection, project, asked)}
    changed: list[tuple[str, str, dict[str, Any] | None]] = []
    for pair in asked:
        had = there.get(pair)
        if had is None or had.verdict != verdict:
            old = None if had is None else dict(had._mapping)  # noqa: SLF001 - SQLAlchemy's public name
            changed.append((*pair, msgspec.to_builtins(old)))
    rows = [
        {
            "project": project,
            "first": first,
            "second": second,
            "verdict": verdict,
            "source": source,
            "labelled_by": signed.by,
            "labelled_at": signed.at,
        }
        for first, second, _ in changed
    ]
    if rows:
        connection.execute(_put, rows)
    return changed


def _labels_of(
    connection: Connection, project: str, pairs: Sequence[tuple[str, str]]
) -> Iterator[Row[Any]]:
    """The labels of these pairs, as far as they have any.

    A database compares a row with a list of pairs one by one: asked are the lists of each of the two.
    """
    for some in in_steps(pairs):
        found = connection.execute(
            select(pair_label).where(
                pair_label.c.project == project,
                pair_label.c.first.in_(sorted({first for first, _ in some})),
                pair_label.c.second.in_(sorted({second for _, second in some})),
            )
        )
        asked = set(some)
        yield from [row for row in found if (row.first, row.second) in asked]


def unlabel_pairs(
    connection: Connection,
    project: str,
    changed: Sequence[tuple[str, str, dict[str, Any] | None]],
    source: Source,
    change: PatternChange,
) -> None:
    """Give these pairs back the label they had, unless somebody said something since.

    The review that a split carries out is signed as the split is: it goes with it.
    """
    asked = [(first, second) for first, second, _ in changed]
    mine = {
        (row.first, row.second)
        for row in _labels_of(connection, project, asked)
        if row.source == source
        or (row.source, row.labelled_by, row.labelled_at) == ("grey", change.by, change.at)
    }
    gone = [{"in_project": project, "one": one, "other": other} for one, other in sorted(mine)]
    back = [
        old | {"labelled_at": msgspec.convert(old["labelled_at"], datetime)}
        for first, second, old in changed
        if old is not None and (first, second) in mine
    ]
    if gone:
        connection.execute(_take_away, gone)
    if back:
        connection.execute(_put, back)


_take_away = delete(pair_label).where(
    pair_label.c.project == bindparam("in_project"),
    pair_label.c.first == bindparam("one"),
    pair_label.c.second == bindparam("other"),
)


def add_review(
    connection: Connection,
    project: str,
    change_id: str,
    pair: tuple[str, str],
    had: dict[str, Any] | None,
) -> bool:
    """Have undoing a split give this pair back the label it had. False: the split is undone already."""
    mine = (pattern_change.c.project == project) & (pattern_change.c.change_id == change_id)
    row = connection.execute(
        select(pattern_change.c.before, pattern_change.c.undone_by).where(mine)
    ).one()
    if row.undone_by is not None:
        return False
    before = msgspec.convert(row.before, Before)
    if pair not in {(first, second) for first, second, _ in before.labels}:
        before.labels.append((*pair, msgspec.to_builtins(had)))
        values = {"before": msgspec.to_builtins(before)}
        connection.execute(update(pattern_change).where(mine).values(values))
    return True


def decided_different(
    connection: Connection, project: str, fingerprints: Sequence[str]
) -> list[str]:
    """Those of these texts whose doubtful decisions were found "different"."""
    rows = rows_of(
        connection,
        fingerprints,
        lambda some: (
            select(occurrence.c.fingerprint)
            .where(occurrence.c.project == project, occurrence.c.fingerprint.in_(some), _different)
            .distinct()
        ),
    )
    return sorted(row.fingerprint for row in rows)


def reopen(
    connection: Connection, project: str, pattern_id: str, decided_before: Sequence[str]
) -> None:
    """Open the doubtful decisions again that made this pattern, for the split that did is undone."""
    theirs = and_(occurrence.c.project == project, occurrence.c.pattern_id == pattern_id)
    found = connection.scalars(
        select(occurrence.c.fingerprint).where(theirs, _different).distinct()
    )
    for some in in_steps(sorted(set(found) - set(decided_before))):
        connection.execute(
            update(occurrence)
            .where(theirs, _different, occurrence.c.fingerprint.in_(some))
            .values(grey_decided=None)
        )


_different = and_(occurrence.c.grey, occurrence.c.grey_decided == "different")


def undone_splits(connection: Connection, project: str | None) -> set[tuple[str, str]]:
    """Projects and fingerprints, as they are now, of texts whose split was undone.

    Without what only carried out a distance: that says nothing about these failures.
    """
    wanted = [
        pattern_change.c.kind == "split",
        pattern_change.c.undone_by.is_not(None),
        ~pattern_change.c.reason.startswith(REASSIGNED, autoescape=True),
    ]
    if project is not None:
        wanted.append(pattern_change.c.project == project)
    rows = connection.execute(
        select(pattern_change.c.project, pattern_change.c.detail).where(*wanted)
    )
    texts: dict[str, set[str]] = {}
    for row in rows:
        texts.setdefault(row.project, set()).update(row.detail["fingerprints"])
    return {
        (name, now.get(one, one))
        for name, told in texts.items()
        for now in [written_now(connection, name, sorted(told))]
        for one in told
    }
