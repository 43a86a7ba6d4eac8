"""What a merge or a split says about pairs of texts, for whoever fits a distance."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete, select

from services.knob import REASSIGNED
from services.store.change_rows import Signed
from services.store.pattern_tables import occurrence, pair_label, pattern
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
) -> None:
    """Give these pairs back the label they had, unless somebody said something since."""
    for first, second, old in changed:
        mine = (
            (pair_label.c.project == project)
            & (pair_label.c.first == first)
            & (pair_label.c.second == second)
            & (pair_label.c.source == source)
        )
        if connection.execute(delete(pair_label).where(mine)).rowcount and old is not None:
            at = msgspec.convert(old["labelled_at"], datetime)
            connection.execute(_put, old | {"labelled_at": at})
