"""Texts that are written anew: which fingerprint a failure has under another text policy.

A fingerprint is a hash of the text, so that another way to write it gives the same failure another
one. `dedup reembed` keeps both beside each other; from then on what people say about one text holds
for the same failure as it is written now.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.sql.selectable import FromClause

from services.pattern_store import Rewritten
from services.spaces import text_of
from services.store.geometries import serving
from services.store.parts import is_part, rows_of
from services.store.pattern_tables import (
    embedding,
    occurrence,
    pattern,
    pattern_fingerprint,
    rewritten_text,
)
from services.store.upsert import absorbing, merging

_put = merging(rewritten_text, rewritten="excluded.rewritten")
_add_fingerprint = absorbing(pattern_fingerprint)


class Now(NamedTuple):
    """How a column of fingerprints is read as texts are written now: a join, and the column."""

    table: FromClause
    on: ColumnElement[bool]
    fingerprint: ColumnElement[str]
    text: Any


def text_now(connection: Connection, project: str) -> str | None:
    """The way in which the project's texts are written; None before its first failure."""
    now = serving(connection, project)
    return None if now is None else text_of(now.space)


def as_now(project: ColumnElement[str] | str, fingerprint: ColumnElement[str], text: Any) -> Now:
    """What to join to have fingerprints as this way of writing has them. `text`: a value or column."""
    again = rewritten_text.alias()
    on = and_(again.c.project == project, again.c.text == text, again.c.fingerprint == fingerprint)
    return Now(again, on, func.coalesce(again.c.rewritten, fingerprint), text)


def written_now(
    connection: Connection, project: str, fingerprints: Sequence[str]
) -> dict[str, str]:
    """By fingerprint the one that the same failure has now, where it is another."""
    text = text_now(connection, project)
    table = rewritten_text
    rows = rows_of(
        connection,
        fingerprints,
        lambda some: select(table.c.fingerprint, table.c.rewritten).where(
            table.c.project == project, table.c.text == text, table.c.fingerprint.in_(some)
        ),
    )
    return {row.fingerprint: row.rewritten for row in rows}


def alike_each(
    connection: Connection, project: str, fingerprints: Sequence[str]
) -> dict[str, list[str]]:
    """By fingerprint all of failures that have the same text as it is written now, its own too."""
    now = written_now(connection, project, fingerprints)
    texts = {one: now.get(one, one) for one in fingerprints}
    text = text_now(connection, project)
    table = rewritten_text
    rows = rows_of(
        connection,
        sorted(set(texts.values())),
        lambda some: select(table.c.fingerprint, table.c.rewritten).where(
            table.c.project == project, table.c.text == text, table.c.rewritten.in_(some)
        ),
    )
    others: dict[str, list[str]] = {}
    for row in rows:
        others.setdefault(row.rewritten, []).append(row.fingerprint)
    return {one: sorted({one, now_, *others.get(now_, ())}) for one, now_ in texts.items()}


def alike(connection: Connection, project: str, fingerprints: Iterable[str]) -> list[str]:
    """These fingerprints with all others of failures that have the same text as it is written now."""
    each = alike_each(connection, project, sorted(set(fingerprints)))
    return sorted({one for ones in each.values() for one in ones})


def alike_in(
    connection: Connection, project: str, root: str, fingerprints: Sequence[str]
) -> list[str]:
    """The same, of those alone that belong to this pattern."""
    every = alike(connection, project, fingerprints)
    table = pattern_fingerprint
    rows = rows_of(
        connection,
        every,
        lambda some: select(table.c.fingerprint).where(
            table.c.project == project,
            table.c.fingerprint.in_(some),
            is_part(table.c.pattern_id, project, root),
        ),
    )
    return sorted({*fingerprints, *(row.fingerprint for row in rows)})


def learn(connection: Connection, project: str, told: Rewritten) -> None:
    """Keep how texts are written in another way, and have the new fingerprints' failures belong.

    To the pattern that the old ones are stored with, which is not always its root: undoing a merge
    takes both back. New ones that failed already stay where they are.
    """
    stored = _stored(connection, project, sorted({*told.first.values(), *told.first}))
    wanted = {new: stored[old] for new, old in told.first.items() if old in stored}
    other = [new for new, row in wanted.items() if new in stored and stored[new][0] != row[0]]
    failed = _failed(connection, project, other)
    rows = [
        {"project": project, "fingerprint": new, "pattern_id": pattern_id, "distance": distance}
        for new, (pattern_id, distance) in sorted(wanted.items())
    ]
    if rows:
        connection.execute(_add_fingerprint, rows)
    stale = sorted(set(other) - failed)
    if stale:
        values = [
            {
                "in_project": project,
                "learnt": new,
                "now": wanted[new][0],
                "far": wanted[new][1],
            }
            for new in stale
        ]
        connection.execute(_learn_again, values)
    _remember(connection, project, told)
    guards = [
        {"in_project": project, "of_pattern": wanted[new][0], "now": told.guards[new]}
        for new in sorted(wanted.keys() & told.guards.keys())
    ]
    if guards:
        connection.execute(_guard, guards)


def _remember(connection: Connection, project: str, told: Rewritten) -> None:
    """Also for those that were written as these in the way before. Not where it is their own way."""
    table = rewritten_text
    rows = rows_of(
        connection,
        sorted(told.now),
        lambda some: select(table.c.fingerprint, table.c.rewritten).where(
            table.c.project == project, table.c.text == told.before, table.c.rewritten.in_(some)
        ),
    )
    now = {row.fingerprint: told.now[row.rewritten] for row in rows} | dict(told.now)
    own = rows_of(
        connection,
        sorted(now),
        lambda some: (
            select(occurrence.c.fingerprint)
            .where(
                occurrence.c.project == project,
                occurrence.c.fingerprint.in_(some),
                occurrence.c.space.endswith(f"/text-{told.text}", autoescape=True),
            )
            .distinct()
        ),
    )
    theirs = {row.fingerprint for row in own}
    values = [
        {"project": project, "text": told.text, "fingerprint": old, "rewritten": new}
        for old, new in sorted(now.items())
        if old != new and old not in theirs
    ]
    if values:
        connection.execute(_put, values)


def written_before(
    connection: Connection, project: str, space: str, before: str, fingerprints: Sequence[str]
) -> Mapping[str, tuple[str, str]]:
    """Fingerprint and text that a space has of texts of another way: it served before, or was prepared.

    By fingerprint in the other way; `before` is that way.
    """
    table = rewritten_text
    there = and_(
        embedding.c.project == table.c.project,
        embedding.c.space == space,
        embedding.c.fingerprint == table.c.fingerprint,
    )
    rows = rows_of(
        connection,
        fingerprints,
        lambda some: (
            select(table.c.rewritten, embedding.c.fingerprint, embedding.c.text)
            .join(embedding, there)
            .where(
                table.c.project == project,
                table.c.text == before,
                table.c.rewritten.in_(some),
                _own(project, table.c.fingerprint, text_of(space)),
            )
            .order_by(embedding.c.seq.desc())
        ),
    )
    return {row.rewritten: (row.fingerprint, row.text) for row in rows}  # of several the first


def _own(project: str, fingerprint: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether a failure was decided with this fingerprint in a space of this way of writing."""
    return exists().where(
        occurrence.c.project == project,
        occurrence.c.fingerprint == fingerprint,
        occurrence.c.space.endswith(f"/text-{text}", autoescape=True),
    )


def _stored(
    connection: Connection, project: str, fingerprints: Sequence[str]
) -> dict[str, tuple[str, float]]:
    table = pattern_fingerprint

    def query(some: Sequence[str]) -> Select[Any]:
        return select(table.c.fingerprint, table.c.pattern_id, table.c.distance).where(
            table.c.project == project, table.c.fingerprint.in_(some)
        )

    rows = rows_of(connection, fingerprints, query)
    return {row.fingerprint: (row.pattern_id, row.distance) for row in rows}


def _failed(connection: Connection, project: str, fingerprints: Sequence[str]) -> set[str]:
    """Those that failures have."""
    rows = rows_of(
        connection,
        fingerprints,
        lambda some: (
            select(occurrence.c.fingerprint)
            .where(occurrence.c.project == project, occurrence.c.fingerprint.in_(some))
            .distinct()
        ),
    )
    return {row.fingerprint for row in rows}


_guard = (
    update(pattern)
    .where(
        pattern.c.project == bindparam("in_project"),
        pattern.c.pattern_id == bindparam("of_pattern"),
    )
    .values(guard=bindparam("now"))
)
_learn_again = (
    update(pattern_fingerprint)
    .where(
        pattern_fingerprint.c.project == bindparam("in_project"),
        pattern_fingerprint.c.fingerprint == bindparam("learnt"),
    )
    .values(pattern_id=bindparam("now"), distance=bindparam("far"))
)
