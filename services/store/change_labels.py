"""What a merge or a split says about pairs of texts, for whoever fits a distance.

And what a review of a doubtful decision says beside the split that carries it out.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, and_, delete, or_, select, update

from services.knob import REASSIGNED
from services.pattern_changes import PatternChange
from services.store.change_rows import Before, Signed
from services.store.pattern_tables import occurrence, pair_label, pattern, pattern_change
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
    rows = connection.execute(
        select(pattern.c.pattern_id, occurrence.c.fingerprint)
        .select_from(
            pattern.join(
                occurrence,
                (occurrence.c.project == pattern.c.project)
                & (occurrence.c.event_id == pattern.c.event_id),
            )
        )
        .where(pattern.c.project == project, pattern.c.pattern_id.in_(pattern_ids))
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
    changed: list[tuple[str, str, dict[str, Any] | None]] = []
    for first, second in sorted({(min(pair), max(pair)) for pair in pairs}):
        if first == second:
            continue
        had = connection.execute(
            select(pair_label).where(
                pair_label.c.project == project,
                pair_label.c.first == first,
                pair_label.c.second == second,
            )
        ).first()
        if had is not None and had.verdict == verdict:
            continue
        old = None if had is None else dict(had._mapping)  # noqa: SLF001 - SQLAlchemy's public name
        changed.append((first, second, msgspec.to_builtins(old)))
        row = {
            "project": project,
            "first": first,
            "second": second,
            "verdict": verdict,
            "source": source,
            "labelled_by": signed.by,
            "labelled_at": signed.at,
        }
        connection.execute(_put, row)
    return changed


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
    review = and_(
        pair_label.c.source == "grey",
        pair_label.c.labelled_by == change.by,
        pair_label.c.labelled_at == change.at,
    )
    for first, second, old in changed:
        mine = (
            (pair_label.c.project == project)
            & (pair_label.c.first == first)
            & (pair_label.c.second == second)
            & or_(pair_label.c.source == source, review)
        )
        if connection.execute(delete(pair_label).where(mine)).rowcount and old is not None:
            at = msgspec.convert(old["labelled_at"], datetime)
            connection.execute(_put, old | {"labelled_at": at})


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
    rows = connection.scalars(
        select(occurrence.c.fingerprint)
        .where(
            occurrence.c.project == project,
            occurrence.c.fingerprint.in_(list(fingerprints)),
            occurrence.c.grey,
            occurrence.c.grey_decided == "different",
        )
        .distinct()
    )
    return sorted(rows)


def reopen(
    connection: Connection, project: str, pattern_id: str, decided_before: Sequence[str]
) -> None:
    """Open the doubtful decisions again that made this pattern, for the split that did is undone."""
    connection.execute(
        update(occurrence)
        .where(
            occurrence.c.project == project,
            occurrence.c.pattern_id == pattern_id,
            occurrence.c.grey,
            occurrence.c.grey_decided == "different",
            occurrence.c.fingerprint.not_in(list(decided_before)),
        )
        .values(grey_decided=None)
    )


def undone_splits(connection: Connection, project: str | None) -> set[tuple[str, str]]:
    """Projects and fingerprints of texts that were split off, and the split was undone.

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
    return {(row.project, one) for row in rows for one in row.detail["fingerprints"]}
