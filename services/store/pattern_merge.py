"""Patterns that become one, and become themselves again.

No occurrence is rewritten: a merged pattern's `root` says what it is part of. What is decided after a
merge counts to the root; when the merge is undone, failures whose text a merged pattern had first go
back to it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from services.pattern_changes import NotPossible, PatternChange
from services.store import change_rows
from services.store.change_cases import follow, members_of, put_case, settle_cases
from services.store.change_centroids import merge_centroids, undo_centroids
from services.store.change_labels import label_pairs, representatives, unlabel_pairs
from services.store.change_rows import Before, Signed
from services.store.changed_patterns import move_occurrences, put, recount, root_rows
from services.store.pattern_tables import pattern, pattern_fingerprint
from services.store.tables import eval_case


def merge(
    connection: Connection, project: str, into: str, merged: Sequence[str], signed: Signed
) -> PatternChange:
    """Make patterns one. Raises `NotPossible`."""
    target, *others = _mergeable(connection, project, into, merged)
    root, gone = target.pattern_id, [row.pattern_id for row in others]
    members = members_of(connection, project, [root, *gone])
    number = change_rows.next_change(connection, project)
    before = Before(members={one: members[one] for one in gone})
    counting = _counting_case(connection, project, members[root])
    theirs = [part for one in gone for part in members[one]]
    connection.execute(
        update(pattern)
        .where(pattern.c.project == project, pattern.c.pattern_id.in_(theirs))
        .values(root=root)
    )
    label = target.label or next((row.label for row in others if row.label), None)
    before.label = label != target.label
    every = [target, *others]
    values = {
        "occurrences": sum(row.occurrences for row in every),
        "first_failed_at": min(row.first_failed_at for row in every),
        "last_failed_at": max(row.last_failed_at for row in every),
        "label": label,
    }
    put(connection, project, root, values)
    merge_centroids(connection, project, number[1], root, gone)
    parts = {root: [*members[root], *theirs]}
    before.cases = settle_cases(connection, project, parts, number[1], counting)
    texts = representatives(connection, project, [root, *gone])
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
    for merged, parts in before.members.items():
        connection.execute(
            update(pattern)
            .where(pattern.c.project == project, pattern.c.pattern_id.in_(parts))
            .values(root=merged)
        )
    concerned = [root, *before.members]
    members = members_of(connection, project, concerned)
    theirs = [one for parts in before.members.values() for one in parts]
    follow(connection, project, _give_back(connection, project, members[root], theirs))
    recount(connection, project, members)
    if before.label:
        put(connection, project, root, {"label": None})
    undo_centroids(connection, project, change.change_id, members, root)
    _uncase(connection, project, before, members, undo_id)
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


def _counting_case(connection: Connection, project: str, parts: Sequence[str]) -> list[str]:
    asked = select(eval_case.c.case_id).where(
        eval_case.c.project == project,
        eval_case.c.pattern_id.in_(parts),
        eval_case.c.superseded_by.is_(None),
    )
    return list(connection.scalars(asked))


def _give_back(
    connection: Connection, project: str, parts: Sequence[str], theirs: Sequence[str]
) -> list[str]:
    """What was counted to the root since, and has a text that a merged pattern had first."""
    rows = connection.execute(
        select(pattern_fingerprint.c.fingerprint, pattern_fingerprint.c.pattern_id).where(
            pattern_fingerprint.c.project == project, pattern_fingerprint.c.pattern_id.in_(theirs)
        )
    )
    moved = {row.fingerprint: row.pattern_id for row in rows}
    return move_occurrences(connection, project, parts, moved)


def _uncase(
    connection: Connection,
    project: str,
    before: Before,
    members: dict[str, list[str]],
    undo_id: str,
) -> None:
    for case_id, (pattern_id, superseded) in before.cases.items():
        put_case(connection, project, case_id, pattern_id, superseded)
    counting = [one for one, (_, superseded) in before.cases.items() if superseded is None]
    settle_cases(connection, project, members, undo_id, counting)
