"""Embedded texts: what is never embedded twice, and what what-if, labels and modes are made from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, func, select

from services.pattern_store import Embedded, StoredEmbedding, Sum
from services.store.database import Database
from services.store.pattern_tables import embedding, embedding_sum, pattern, pattern_fingerprint
from services.store.shapes import padded
from services.store.upsert import absorbing, merging

_NAMES_A_QUERY = 5_000  # PostgreSQL takes 32,767 parameters, SQLite as many
_next = select(func.coalesce(func.max(embedding.c.seq), 0) + 1).where(
    embedding.c.project == bindparam("in_project"), embedding.c.space == bindparam("in_space")
)
_add = absorbing(embedding).values(seq=_next.scalar_subquery())  # row by row, in their order
_put_sum = merging(embedding_sum, texts="excluded.texts", total="excluded.total")


class Embeddings:
    """`services.pattern_store.Embeddings`."""

    def __init__(self, database: Database) -> None:
        """Read embeddings from `database`."""
        self._database = database

    async def after(
        self, project: str, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredEmbedding]:
        """A space's texts with a higher `seq`, in order. Raises `Unavailable`."""
        asked = (
            select(embedding, pattern.c.root)
            .select_from(
                embedding.outerjoin(
                    pattern_fingerprint,
                    (pattern_fingerprint.c.project == embedding.c.project)
                    & (pattern_fingerprint.c.fingerprint == embedding.c.fingerprint),
                ).outerjoin(
                    pattern,
                    (pattern.c.project == pattern_fingerprint.c.project)
                    & (pattern.c.pattern_id == pattern_fingerprint.c.pattern_id),
                )
            )
            .where(
                embedding.c.project == project, embedding.c.space == space, embedding.c.seq > seq
            )
            .order_by(embedding.c.seq)
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(asked).all())
        return [
            StoredEmbedding(
                seq=row.seq,
                fingerprint=row.fingerprint,
                text=row.text,
                guard=row.guard,
                vector=from_half(row.vector),
                pattern_id=row.root,
            )
            for row in rows
        ]


def from_half(kept: bytes) -> np.ndarray:
    """A kept vector (d,) as float32."""
    return np.frombuffer(kept, "<f2").astype(np.float32)


def vectors_of(
    connection: Connection, project: str, space: str, fingerprints: Sequence[str]
) -> dict[str, np.ndarray]:
    """Raw vectors (d,), float32, by fingerprint, as far as they are there."""
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(fingerprints), _NAMES_A_QUERY):
        asked = select(embedding.c.fingerprint, embedding.c.vector).where(
            embedding.c.project == project,
            embedding.c.space == space,
            embedding.c.fingerprint.in_(padded(fingerprints[start : start + _NAMES_A_QUERY])),
        )
        found |= {row.fingerprint: from_half(row.vector) for row in connection.execute(asked).all()}
    return found


def add(
    connection: Connection,
    project: str,
    space: str,
    embedded: Sequence[Embedded],
    guards: Mapping[str, str],
) -> None:
    """Keep texts that the space does not have yet. `guards`: by fingerprint, where a text has none.

    The project's lock is held: nobody else draws numbers.
    """
    first = {one.fingerprint: one for one in reversed(embedded)}
    rows: list[dict[str, Any]] = [
        {
            "project": project,
            "space": space,
            "in_project": project,
            "in_space": space,
            "fingerprint": one.fingerprint,
            "text": one.text,
            "guard": one.guard or guards.get(one.fingerprint, "unknown|"),
            "vector": one.vector.astype("<f2").tobytes(),
        }
        for one in embedded
        if first[one.fingerprint] is one
    ]
    if rows:
        connection.execute(_add, rows)


def sum_of(connection: Connection, project: str, space: str) -> Sum | None:
    """How many texts a space has seen, and their sum."""
    row = connection.execute(
        select(embedding_sum.c.texts, embedding_sum.c.total).where(
            embedding_sum.c.project == project, embedding_sum.c.space == space
        )
    ).first()
    return None if row is None else Sum(row.texts, np.frombuffer(row.total, "<f8").copy())


def put_sum(connection: Connection, project: str, space: str, new: Sum) -> None:
    """Keep a space's sum."""
    connection.execute(
        _put_sum,
        {
            "project": project,
            "space": space,
            "texts": new.texts,
            "total": new.total.astype("<f8").tobytes(),
        },
    )
