"""Centroids of patterns that were merged or split, and where they lie after undoing that.

A merged pattern's centroid is the sum of theirs, and a split one's are summed anew from the kept
embeddings. Each change keeps where they lay before it and after it; undoing it goes back to before,
and takes along what moved the centroids since.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, Row, insert, select

from dedup.centroid import Centroid
from services.store.centroids import put_centroids
from services.store.embeddings import vectors_of
from services.store.parts import is_part, rows_of
from services.store.pattern_tables import (
    pattern_centroid,
    pattern_change_centroid,
    pattern_fingerprint,
)

_A_TIME = 5_000  # vectors in memory

Placed = dict[str, tuple[str, Centroid]]
"""Guard and centroid by pattern id; count 0: gone."""


def placed(connection: Connection, project: str, pattern_ids: Sequence[str]) -> dict[str, Placed]:
    """By space, where these patterns lie; gone ones too."""
    table = pattern_centroid
    rows = rows_of(
        connection,
        pattern_ids,
        lambda some: select(
            table.c.space,
            table.c.pattern_id,
            table.c.guard,
            table.c.total,
            table.c.count.label("texts"),
        ).where(table.c.project == project, table.c.pattern_id.in_(some)),
    )
    found: dict[str, Placed] = {}
    for row in sorted(rows, key=lambda row: str(row.space)):
        centroid = Centroid(np.frombuffer(row.total, "<f4").copy(), row.texts)
        found.setdefault(row.space, {})[row.pattern_id] = (row.guard, centroid)
    return found


def merge_centroids(
    connection: Connection, project: str, change_id: str, into: str, merged: Sequence[str]
) -> None:
    """One centroid instead of several, in every space; the others are gone."""
    for space, before in placed(connection, project, [into, *merged]).items():
        living = [centroid for _, centroid in before.values() if centroid.count]
        if not living:
            continue
        guard = next(guard for guard, _ in before.values())
        total = np.stack([centroid.total for centroid in living]).sum(axis=0, dtype=np.float32)
        after: Placed = {
            pattern_id: (guard, Centroid(before[pattern_id][1].total, 0))
            for pattern_id in merged
            if pattern_id in before and before[pattern_id][1].count
        }
        after[into] = (guard, Centroid(total, sum(centroid.count for centroid in living)))
        _change(connection, project, change_id, space, before, after)


def split_centroids(
    connection: Connection, project: str, change_id: str, root: str, to: str
) -> None:
    """Both centroids, summed anew in every space."""
    for space, before in placed(connection, project, [root]).items():
        guard = before[root][0]
        dimension = len(before[root][1].total)
        after: Placed = {
            root: (guard, summed(connection, project, space, root, dimension)),
            to: (guard, summed(connection, project, space, to, dimension)),
        }
        _change(connection, project, change_id, space, before, after)


def undo_centroids(
    connection: Connection,
    project: str,
    change_id: str,
    roots: Sequence[str],
    heir: str,
) -> None:
    """Take a change of centroids back.

    `roots`: those concerned that are patterns after undoing. One that a split made is not among
    them: `heir`, the pattern that it came from, has what joined it since.
    """
    kept = _kept(connection, project, change_id)
    living = set(roots)
    concerned = {*roots, *(one for rows in kept.values() for one in rows)}
    for space, now in placed(connection, project, sorted(concerned)).items():
        guard = next(guard for guard, _ in now.values())
        rows = kept.get(space)
        if rows is None:  # the space is younger than the change
            dimension = len(next(iter(now.values()))[1].total)
            back: Placed = {
                root: (guard, summed(connection, project, space, root, dimension)) for root in roots
            }
            gone = {one: Centroid(now[one][1].total, 0) for one in now if one not in living}
            back |= {one: (guard, centroid) for one, centroid in gone.items()}
        else:
            back = {one: (guard, _less(now.get(one), row)) for one, row in rows.items()}
            for one in [one for one in rows if one not in living]:
                _, left = back[one]
                if left.count > 0:
                    mine = back[heir][1]
                    back[heir] = (
                        guard,
                        Centroid(mine.total + left.total, mine.count + left.count),
                    )
                back[one] = (guard, Centroid(left.total, 0))
        changed = {one: found for one, found in back.items() if one in now or found[1].count}
        put_centroids(connection, project, space, changed)


def summed(
    connection: Connection,
    project: str,
    space: str,
    root: str,
    dimension: int,
) -> Centroid:
    """The centroid (d,) of all embedded texts of a pattern, with the sum in float64."""
    total, count = np.zeros(dimension), 0
    for fingerprints in _fingerprints(connection, project, root):
        vectors = vectors_of(connection, project, space, fingerprints)
        if vectors:
            # in the order of the fingerprints, so that the sum is the same on both databases
            ordered = [vectors[one] for one in fingerprints if one in vectors]
            total += np.sum(ordered, axis=0, dtype=np.float64)
            count += len(ordered)
    return Centroid(total.astype(np.float32), count)


def _fingerprints(connection: Connection, project: str, root: str) -> Iterator[list[str]]:
    after = ""
    while True:
        found = connection.scalars(
            select(pattern_fingerprint.c.fingerprint)
            .where(
                pattern_fingerprint.c.project == project,
                is_part(pattern_fingerprint.c.pattern_id, project, root),
                pattern_fingerprint.c.fingerprint > after,
            )
            .order_by(pattern_fingerprint.c.fingerprint)
            .limit(_A_TIME)
        ).all()
        if not found:
            return
        after = found[-1]
        yield list(found)


def _change(
    connection: Connection, project: str, change_id: str, space: str, before: Placed, after: Placed
) -> None:
    rows = []
    for pattern_id, (_, new) in after.items():
        old = before[pattern_id][1] if pattern_id in before else Centroid(new.total * 0, 0)
        rows.append(
            {
                "project": project,
                "change_id": change_id,
                "space": space,
                "pattern_id": pattern_id,
                "total_before": old.total.astype("<f4").tobytes(),
                "count_before": old.count,
                "total_after": new.total.astype("<f4").tobytes(),
                "count_after": new.count,
            }
        )
    connection.execute(insert(pattern_change_centroid), rows)
    there = {one: found for one, found in after.items() if one in before or found[1].count}
    put_centroids(connection, project, space, there)


_KeptRow = Row[tuple[str, str, bytes, int, bytes, int]]


def _kept(connection: Connection, project: str, change_id: str) -> dict[str, dict[str, _KeptRow]]:
    table = pattern_change_centroid
    asked = select(
        table.c.space,
        table.c.pattern_id,
        table.c.total_before,
        table.c.count_before,
        table.c.total_after,
        table.c.count_after,
    ).where(table.c.project == project, table.c.change_id == change_id)
    found: dict[str, dict[str, _KeptRow]] = {}
    for row in connection.execute(asked):
        found.setdefault(row.space, {})[row.pattern_id] = row
    return found


def _less(now: tuple[str, Centroid] | None, row: _KeptRow) -> Centroid:
    """Where a pattern lies without a change: where it lay, and what moved it since."""
    _, _, total_before, count_before, total_after, count_after = row
    before = np.frombuffer(total_before, "<f4")
    if now is None:
        return Centroid(before.copy(), count_before)
    # gone patterns keep their last total, which says nothing
    total = now[1].total if now[1].count else np.zeros_like(before)
    after = np.frombuffer(total_after, "<f4") if count_after else np.zeros_like(before)
    was = before if count_before else np.zeros_like(before)
    return Centroid(was + (total - after), count_before + (now[1].count - count_after))
