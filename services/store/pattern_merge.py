"""Patterns that become one, and become themselves again.

No occurrence is rewritten: a merged pattern's `root` says what it is part of. What is decided after a
merge counts to the root; when the merge is undone, failures whose text a merged pattern had first go
back to it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, select

from services.pattern_changes import NotPossible, PatternChange
from services.store import change_rows, medoids
from services.store.change_cases import put_case, settle_cases
from services.store.change_centroids import merge_centroids, undo_centroids
from services.store.change_labels import label_pairs, representatives, unlabel_pairs
from services.store.change_rows import Before, Signed
from services.store.changed_patterns import (
    move_occurrences,
    of_pattern,
    put,
    recount,
    root_rows,
)
from services.store.parts import is_part, members_of, merge_roots, put_roots
from services.store.pattern_tables import occurrence, pattern_fingerprint
from services.store.tables import eval_case


def merge(
    connection: Connection, project: str, into: str, merged: Sequence[str], signed: Signed
) -> PatternChange:
    """Make patterns one. Raises `NotPossible`."""
    target, *others = _mergeable(connection, project, into, merged)
    root, gone = target.pattern_id, [row.pattern_id for row in others]
    members = members_of(connection, project, gone)
    number = change_rows.next_change(connection, project)
    until = connection.scalar(
        select(func.max(occurrence.c.seq)).where(occurrence.c.project == project)
    )
    before = Before(members=members, until=until)
    counting = _counting_case(connection, project, root)
    merge_roots(connection, project, gone, root)
    name = target.name or next((row.name for row in others if row.name), None)
    before.name = name != target.name
    every = [target, *others]
    values = {
        "occurrences": sum(row.occurrences for row in every),
        "first_failed_at": min(row.first_failed_at for row in every),
        "last_failed_at": max(row.last_failed_at for row in every),
        "name": name,
    }
    put(connection, project, root, values)
    texts = representatives(connection, project, [root, *gone])  # as whoever merges them sees them
    merge_centroids(connection, project, number[1], root, gone)
    medoids.follow(connection, project, [root], gone)
    before.cases = settle_cases(connection, project, [root], number[1], counting)
    pairs = [(texts[root], texts[one]) for one in gone if {root, one} <= texts.keys()]
    before.labels = label_pairs(connection, project, pairs, "same", "merge", signed)
    counts = {row.pattern_id: row.occurrences for row in every}
    detail = {"into": root, "merged": gone, "counts": counts}
    return change_rows.add_change(connection, project, number, "merge", signed, detail, before)


def unmerge(
    connection: Connection, project: str, change: PatternChange, before: Before, undo_id: str
) -> list[str]:
    """Take a merge back. Returns the patterns that are there again or have changed."""
    root: str = change.detail["into"]
    put_roots(connection, project, before.members)
    concerned = [root, *before.members]
    move_occurrences(connection, project, _of_others(project, root))
    recount(connection, project, concerned)
    if before.name and _has_their_name(connection, project, root, before):
        put(connection, project, root, {"name": None})
    undo_centroids(connection, project, change.change_id, concerned, root)
    medoids.follow(connection, project, concerned)
    _uncase(connection, project, before, concerned, undo_id)
    unlabel_pairs(connection, project, before.labels, "merge", change)
    return concerned


def _mergeable(
    connection: Connection, project: str, into: str, merged: Sequence[str]
) -> list[Row[Any]]:
    """The target and what is to be merged into it."""
    target, *others = root_rows(connection, project, [into, *merged])
    if not others:
        message = f"These are one pattern already: {target.pattern_id}."
        raise NotPossible(message)
    other = next((row for row in others if row.guard != target.guard), None)
    if other is not None:
        message = (
            "Patterns of different faults, or in which different tools failed, are never one: "
            f"{target.pattern_id} is of {target.guard!r}, {other.pattern_id} of {other.guard!r}."
        )
        raise NotPossible(message)
    return [target, *others]


def _counting_case(connection: Connection, project: str, root: str) -> list[str]:
    asked = select(eval_case.c.case_id).where(
        eval_case.c.project == project,
        is_part(eval_case.c.pattern_id, project, root),
        eval_case.c.superseded_by.is_(None),
    )
    return list(connection.scalars(asked))


def _of_others(project: str, root: str) -> ColumnElement[bool]:
    """What was counted to a pattern since, and has a text that a merged pattern had first."""
    own = exists().where(
        pattern_fingerprint.c.project == occurrence.c.project,
        pattern_fingerprint.c.fingerprint == occurrence.c.fingerprint,
        is_part(pattern_fingerprint.c.pattern_id, project, root),
    )
    return and_(of_pattern(project, root), ~own)


def _has_their_name(connection: Connection, project: str, root: str, before: Before) -> bool:
    """Whether a pattern has the name that it took from a merged one, and not one of before that again."""
    now, *others = root_rows(connection, project, [root, *before.members])
    return now.name in {row.name for row in others}


def _uncase(
    connection: Connection,
    project: str,
    before: Before,
    roots: Sequence[str],
    undo_id: str,
) -> None:
    for case_id, (pattern_id, superseded) in before.cases.items():
        put_case(connection, project, case_id, pattern_id, superseded)
    counting = [one for one, (_, superseded) in before.cases.items() if superseded is None]
    settle_cases(connection, project, roots, undo_id, counting)
