"""Which text stands for a pattern: its first failure's, or by policy its medoid's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, exists, func, select

from dedup.geometry import first_geometry
from dedup.medoid import FEWEST, SAMPLE, medoid
from dedup.policy import Representative
from services.store.centroids import centroids_of
from services.store.database import Database
from services.store.embeddings import from_half
from services.store.geometries import geometry_of, serving
from services.store.parts import in_steps, is_part, rows_of
from services.store.pattern_tables import (
    embedding,
    pattern_centroid,
    pattern_fingerprint,
    pattern_medoid,
)
from services.store.tables import policy_change
from services.store.upsert import merging

_put = merging(
    pattern_medoid,
    space="excluded.space",
    fingerprint="excluded.fingerprint",
    texts="excluded.texts",
)
_A_STEP = 50  # patterns: the lock is held for tenths of a second at most


def shown_text(pattern: Any) -> ColumnElement[str]:
    """The text that stands for a row of `pattern`, or of an alias of it."""
    its_text = (
        select(embedding.c.text)
        .join(
            pattern_medoid,
            and_(
                pattern_medoid.c.project == embedding.c.project,
                pattern_medoid.c.space == embedding.c.space,
                pattern_medoid.c.fingerprint == embedding.c.fingerprint,
            ),
        )
        .where(_of(pattern))
        .correlate(pattern)
        .scalar_subquery()
    )
    return func.coalesce(its_text, pattern.c.text)


def shown_fingerprint(pattern: Any, first: ColumnElement[str]) -> ColumnElement[str]:
    """Its fingerprint. `first`: that of the pattern's first failure."""
    its_own = (
        select(pattern_medoid.c.fingerprint)
        .where(_of(pattern))
        .correlate(pattern)
        .scalar_subquery()
    )
    return func.coalesce(its_own, first)


class Medoids:
    """`services.representatives.MedoidStore`."""

    def __init__(self, database: Database) -> None:
        """Choose in `database`."""
        self._database = database

    async def settle(self, project: str, after: str) -> str | None:
        """Have some patterns represented as the policy says. Raises `Unavailable`."""
        return await self._database.write(
            lambda connection: _settle(connection, project, after), "dedup", project=project
        )


def grown(connection: Connection, project: str, space: str, chosen_of: Mapping[str, int]) -> None:
    """Choose anew for patterns that new texts have joined; not if the policy has changed meanwhile.

    chosen_of: by pattern, of how many of its first texts. Of these alone it is chosen, so that it does
    not matter how many came at once.
    """
    if chosen_of and _policy(connection, project) == "medoid":
        _choose(connection, project, space, chosen_of)


def follow(
    connection: Connection, project: str, roots: Sequence[str], gone: Sequence[str] = ()
) -> None:
    """Choose anew for patterns that somebody changed, where the project's policy asks for it.

    gone: patterns that are part of others now.
    """
    now = serving(connection, project)
    forget(connection, project, [*roots, *gone])
    if now is not None and _policy(connection, project) == "medoid":
        _choose(connection, project, now.space, _texts_of(connection, project, now.space, roots))


def forget(connection: Connection, project: str, pattern_ids: Sequence[str]) -> None:
    """Have the first failure of these patterns stand for them."""
    mine = pattern_medoid.c.project == project
    for some in in_steps(pattern_ids):
        connection.execute(
            delete(pattern_medoid).where(mine, pattern_medoid.c.pattern_id.in_(some))
        )


def _settle(connection: Connection, project: str, after: str) -> str | None:
    now = serving(connection, project)
    if now is None:
        return None
    if _policy(connection, project) == "first":
        mine = pattern_medoid.c.project == project
        if connection.scalar(select(exists().where(mine))):
            connection.execute(delete(pattern_medoid).where(mine))
        return None
    if not after:
        _forget_former(connection, project, now.space)
    table = pattern_centroid
    settled = exists().where(
        pattern_medoid.c.project == table.c.project,
        pattern_medoid.c.pattern_id == table.c.pattern_id,
        pattern_medoid.c.space == table.c.space,
    )
    asked = (
        select(table.c.pattern_id)
        .where(
            table.c.project == project,
            table.c.space == now.space,
            table.c.pattern_id > after,
            table.c.count >= FEWEST,
            ~settled,
        )
        .order_by(table.c.pattern_id)
        .limit(_A_STEP)
    )
    found = list(connection.scalars(asked))
    _choose(connection, project, now.space, _texts_of(connection, project, now.space, found))
    return found[-1] if found else None


def _forget_former(connection: Connection, project: str, space: str) -> None:
    """Of patterns that have no middle in the space that serves, as their texts are fewer in it."""
    table = pattern_centroid
    theirs = exists().where(
        table.c.project == pattern_medoid.c.project,
        table.c.pattern_id == pattern_medoid.c.pattern_id,
        table.c.space == space,
        table.c.count >= FEWEST,
    )
    connection.execute(
        delete(pattern_medoid).where(
            pattern_medoid.c.project == project, pattern_medoid.c.space != space, ~theirs
        )
    )


def _texts_of(
    connection: Connection, project: str, space: str, roots: Sequence[str]
) -> dict[str, int]:
    """How many distinct texts these patterns have, where that is enough for a middle."""
    there = centroids_of(connection, project, space, roots)
    return {root: one.count for root, (_, one) in there.items() if one.count >= FEWEST}


def _choose(connection: Connection, project: str, space: str, chosen_of: Mapping[str, int]) -> None:
    geometry = geometry_of(connection, project, space)
    for root, texts in chosen_of.items():
        rows = _sample(connection, project, space, root, texts)
        if not rows:
            continue
        vectors = np.stack([from_half(row.vector) for row in rows])
        at = medoid(vectors, geometry or first_geometry(vectors.shape[1]))
        row = {
            "project": project,
            "pattern_id": root,
            "space": space,
            "fingerprint": rows[at].fingerprint,
            "texts": texts,
        }
        connection.execute(_put, row)


def _sample(
    connection: Connection, project: str, space: str, root: str, texts: int
) -> list[Row[Any]]:
    """The sample of a pattern's first texts, so many, in their order.

    In three statements: in one, a database may well look at every text of the space.
    """
    mine = select(pattern_fingerprint.c.fingerprint).where(
        pattern_fingerprint.c.project == project,
        is_part(pattern_fingerprint.c.pattern_id, project, root),
    )
    names = list(connection.scalars(mine))
    first = sorted(
        rows_of(connection, names, lambda some: _kept(project, space, some, embedding.c.seq)),
        key=lambda row: row.seq,
    )[:texts]
    sample = sorted(row.fingerprint for row in first)[:SAMPLE]
    columns = embedding.c.seq, embedding.c.vector
    rows = rows_of(connection, sample, lambda some: _kept(project, space, some, *columns))
    return sorted(rows, key=lambda row: row.seq)


def _kept(project: str, space: str, names: Sequence[str], *columns: Any) -> Select[Any]:
    return select(embedding.c.fingerprint, *columns).where(
        embedding.c.project == project,
        embedding.c.space == space,
        embedding.c.fingerprint.in_(names),
    )


def _policy(connection: Connection, project: str) -> Representative:
    newest = (
        select(policy_change.c.after)
        .where(policy_change.c.project == project)
        .order_by(policy_change.c.version.desc())
        .limit(1)
    )
    policy = connection.scalar(newest)
    return "first" if policy is None else policy.dedup.representative


def _of(pattern: Any) -> ColumnElement[bool]:
    return and_(
        pattern_medoid.c.project == pattern.c.project,
        pattern_medoid.c.pattern_id == pattern.c.pattern_id,
    )
