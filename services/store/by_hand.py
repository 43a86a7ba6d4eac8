"""What people said about a project's texts by merging and splitting patterns, read from the changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection, Row, select

from dedup.by_hand import ByHand, Change, by_hand
from services.knob import REASSIGNED
from services.store.change_rows import Before
from services.store.pattern_tables import pattern, pattern_change
from services.store.rewritten import written_now


def said_of(connection: Connection, project: str, rows: Sequence[Row[Any]]) -> ByHand | None:
    """What holds for these texts: rows of `Knob.history`, in order. None where nobody said anything."""
    changes = _changes(connection, project, {row.fingerprint: n for n, row in enumerate(rows)})
    if not changes:
        return None
    merged = select(pattern.c.pattern_id, pattern.c.root).where(
        pattern.c.project == project, pattern.c.root != pattern.c.pattern_id
    )
    root_of = {row.pattern_id: row.root for row in connection.execute(merged)}
    first = np.array([row.first for row in rows], dtype=np.int64)
    return by_hand([row.pattern_id for row in rows], root_of, first, changes)


def _changes(connection: Connection, project: str, rows: Mapping[str, int]) -> list[Change]:
    """Merges and splits that hold, in order. `rows`: by fingerprint, as texts are written now."""
    table = pattern_change
    found = connection.execute(
        select(table.c.kind, table.c.reason, table.c.detail, table.c.before)
        .where(
            table.c.project == project,
            table.c.kind.in_(("merge", "split")),
            table.c.undone_by.is_(None),
        )
        .order_by(table.c.seq)
    ).all()
    if all(row.reason.startswith(REASSIGNED) for row in found):
        return []
    named = {one for row in found for one in row.detail.get("fingerprints", ())}
    now = written_now(connection, project, sorted(named))
    return [_change(row, rows, now) for row in found]


def _change(row: Row[Any], rows: Mapping[str, int], now: Mapping[str, str]) -> Change:
    said, before = not row.reason.startswith(REASSIGNED), msgspec.convert(row.before, Before)
    detail: dict[str, Any] = row.detail
    if row.kind == "merge":
        return Change(
            kind="merge", said=said, until=before.until, root=detail["into"], members=before.members
        )
    texts = {
        rows[name]: before.fingerprints.get(one, detail["from"])
        for one in detail["fingerprints"]
        if (name := now.get(one, one)) in rows
    }
    return Change(
        kind="split",
        said=said,
        until=before.until,
        root=detail["from"],
        made=detail["to"],
        texts=texts,
    )
