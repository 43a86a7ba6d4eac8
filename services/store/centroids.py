"""Where patterns lie: centroids, numbered in the order in which they changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, func, select

from dedup.centroid import Centroid
from services.pattern_store import StoredCentroid
from services.store.pattern_tables import pattern_centroid
from services.store.shapes import padded
from services.store.upsert import merging

_next = select(func.coalesce(func.max(pattern_centroid.c.seq), 0) + 1).where(
    pattern_centroid.c.project == bindparam("in_project"),
    pattern_centroid.c.space == bindparam("in_space"),
)
_put = merging(
    pattern_centroid,
    seq="excluded.seq",
    guard="excluded.guard",
    total="excluded.total",
    count="excluded.count",
).values(seq=_next.scalar_subquery())  # row by row: each sees those before it


def centroids_of(
    connection: Connection, project: str, space: str, pattern_ids: Sequence[str]
) -> dict[str, tuple[str, Centroid]]:
    """Guards and exact centroids of patterns that are there and not gone."""
    table = pattern_centroid
    texts = table.c.count.label("texts")  # a row's own `count` is a tuple's
    asked = select(table.c.pattern_id, table.c.guard, table.c.total, texts).where(
        table.c.project == project,
        table.c.space == space,
        table.c.pattern_id.in_(padded(pattern_ids)),
        table.c.count > 0,
    )
    return {
        row.pattern_id: (row.guard, Centroid(np.frombuffer(row.total, "<f4").copy(), row.texts))
        for row in connection.execute(asked)
    }


def centroids_after(
    connection: Connection, project: str, space: str, seq: int, limit: int
) -> list[StoredCentroid]:
    """Centroids that changed after `seq`, gone ones too, the earliest change first."""
    table = pattern_centroid
    asked = (
        select(table.c.seq, table.c.pattern_id, table.c.guard, table.c.total, table.c.count)
        .where(table.c.project == project, table.c.space == space, table.c.seq > seq)
        .order_by(table.c.seq)
        .limit(limit)
    )
    return [StoredCentroid(*row) for row in connection.execute(asked)]


def put_centroids(
    connection: Connection,
    project: str,
    space: str,
    changed: Mapping[str, tuple[str, Centroid]],
) -> None:
    """Keep changed centroids under the next numbers of their space, in the given order.

    The project's lock is held: nobody else draws numbers.
    """
    rows: list[dict[str, Any]] = [
        {
            "project": project,
            "space": space,
            "in_project": project,
            "in_space": space,
            "pattern_id": pattern_id,
            "guard": guard,
            "total": centroid.total.astype("<f4", copy=False).tobytes(),
            "count": centroid.count,
        }
        for pattern_id, (guard, centroid) in changed.items()
    ]
    if rows:
        connection.execute(_put, rows)
