"""Changes of patterns as rows: who, when, why, what they did, and what undoing them needs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from capture.ids import derive_id
from services.pattern_changes import ChangeKind, NotPossible, NotThere, PatternChange
from services.store.pattern_tables import pattern_change


class Signed(msgspec.Struct, frozen=True):
    """Who makes a change, why and when."""

    by: str
    reason: str
    at: datetime


class Before(msgspec.Struct, kw_only=True):
    """What undoing a change needs. Ids of patterns as they are stored, not their roots."""

    members: dict[str, list[str]] = {}
    """Of a merge, by merged root: the patterns that were part of it."""
    until: int | None = None
    """The latest occurrence there was: what came later, nobody has judged."""
    name: bool = False
    """Whether the target of a merge took its name from a merged pattern."""
    fingerprints: dict[str, str] = {}
    """Of a split: the patterns of moved fingerprints, where that was not the root itself."""
    representative: dict[str, str] | None = None
    """Of a split: the columns of the representative that went to the new pattern."""
    cases: dict[str, tuple[str, str | None]] = {}
    """By case id: the pattern it was of, and the change that had superseded it."""
    labels: list[tuple[str, str, dict[str, Any] | None]] = []
    """Pairs of fingerprints that the change labelled, and the label they had."""
    decided: list[str] = []
    """Of a split: fingerprints whose doubtful decisions had been found "different" before it."""


def next_change(connection: Connection, project: str) -> tuple[int, str]:
    """The number and the id of the project's next change. The project's lock is held."""
    last = connection.scalar(
        select(func.max(pattern_change.c.seq)).where(pattern_change.c.project == project)
    )
    seq = (last or 0) + 1
    return seq, derive_id("pattern_change", project, str(seq))[:16]


def add_change(
    connection: Connection,
    project: str,
    number: tuple[int, str],
    kind: ChangeKind,
    signed: Signed,
    detail: dict[str, Any],
    before: Before,
) -> PatternChange:
    """Write a change down."""
    seq, change_id = number
    row = {
        "project": project,
        "change_id": change_id,
        "seq": seq,
        "kind": kind,
        "changed_by": signed.by,
        "reason": signed.reason,
        "changed_at": signed.at,
        "detail": detail,
        "before": msgspec.to_builtins(before),
    }
    connection.execute(insert(pattern_change), row)
    return PatternChange(
        project=project,
        change_id=change_id,
        seq=seq,
        kind=kind,
        by=signed.by,
        reason=signed.reason,
        at=signed.at,
        detail=detail,
    )


def to_undo(connection: Connection, project: str, change_id: str) -> tuple[PatternChange, Before]:
    """A change that can be taken back. Raises `NotPossible`."""
    if not change_id.isprintable():  # PostgreSQL may not even take it as a text
        message = f"There is no change {change_id[:80]!a}."
        raise NotThere(message)
    row = connection.execute(
        select(pattern_change).where(
            pattern_change.c.project == project, pattern_change.c.change_id == change_id
        )
    ).first()
    if row is None:
        message = f"Project {project!r} has no change {change_id!r}."
        raise NotThere(message)
    change = _change(row)
    if change.kind == "undo":
        message = f"Change {change_id} is an undo itself. Merge or split again instead."
        raise NotPossible(message)
    if change.undone_by is not None:
        message = f"Change {change_id} was undone before, by change {change.undone_by}."
        raise NotPossible(message)
    later = connection.execute(
        select(pattern_change)
        .where(
            pattern_change.c.project == project,
            pattern_change.c.seq > change.seq,
            pattern_change.c.kind != "undo",
            pattern_change.c.undone_by.is_(None),
        )
        .order_by(pattern_change.c.seq.desc())
    )
    building = [one.change_id for one in map(_change, later) if _builds_on(one, change)]
    if building:
        message = (
            f"Later changes build on change {change_id}. Undo them first, the latest first: "
            f"{', '.join(building)}."
        )
        raise NotPossible(message)
    return change, msgspec.convert(row.before, Before)


def _builds_on(later: PatternChange, change: PatternChange) -> bool:
    """Whether a change is about what an earlier one made.

    Merging more into a pattern does not build on a merge into it or a split from it, nor on its name:
    each of them comes out again by itself.
    """
    theirs = later.detail
    if change.kind == "name":
        mine = change.detail["pattern"]
        if later.kind == "split":
            return False
        return theirs["pattern"] == mine if later.kind == "name" else mine in theirs["merged"]
    if later.kind == "name":  # it was given to what the change made
        return bool(theirs["pattern"] == change.detail["into" if change.kind == "merge" else "to"])
    if change.kind == "merge":
        mine = {change.detail["into"]}
        return bool(mine & ({theirs["from"]} if later.kind == "split" else {*theirs["merged"]}))
    source, made = change.detail["from"], change.detail["to"]
    if later.kind == "split":
        return theirs["from"] in {source, made}
    return theirs["into"] == made or bool({source, made} & {*theirs["merged"]})


def mark_undone(connection: Connection, project: str, change_id: str, undone_by: str) -> None:
    """Note that a change was taken back."""
    connection.execute(
        update(pattern_change)
        .where(pattern_change.c.project == project, pattern_change.c.change_id == change_id)
        .values(undone_by=undone_by)
    )


def history(connection: Connection, project: str | None, limit: int) -> Sequence[PatternChange]:
    """Changes, the latest first."""
    asked = select(pattern_change).limit(limit)
    if project is None:
        asked = asked.order_by(pattern_change.c.changed_at.desc(), pattern_change.c.seq.desc())
    else:
        asked = asked.where(pattern_change.c.project == project).order_by(
            pattern_change.c.seq.desc()
        )
    return [_change(row) for row in connection.execute(asked)]


def _change(row: Row[Any]) -> PatternChange:
    return PatternChange(
        project=row.project,
        change_id=row.change_id,
        seq=row.seq,
        kind=row.kind,
        by=row.changed_by,
        reason=row.reason,
        at=row.changed_at,
        detail=row.detail,
        undone_by=row.undone_by,
    )
