"""Occurrences that become a pattern of their own, and go back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from capture.ids import derive_id
from services.pattern_changes import NotPossible, NotThere, PatternChange
from services.store import change_rows
from services.store.change_cases import (
    follow,
    members_of,
    move_cases,
    put_case,
    settle_cases,
)
from services.store.change_centroids import split_centroids, undo_centroids
from services.store.change_labels import (
    decided_different,
    label_pairs,
    reopen,
    representatives,
    unlabel_pairs,
)
from services.store.change_rows import Before, Signed
from services.store.changed_patterns import (
    check_names,
    events_of,
    move_occurrences,
    put,
    recount,
    representative,
    root_rows,
)
from services.store.pattern_tables import occurrence, pattern, pattern_fingerprint

_MOST_NAMED = 10_000  # names that one statement takes on both databases, with room
_NO_TEXT = "(The text of this failure was not kept. It is in trace {trace}.)"


def split(
    connection: Connection, project: str, pattern_id: str, event_ids: Sequence[str], signed: Signed
) -> PatternChange:
    """Give occurrences a pattern of their own, with all of the same fingerprint. Raises `NotPossible`."""
    (source,) = root_rows(connection, project, [pattern_id])
    root = source.pattern_id
    parts = members_of(connection, project, [root])[root]
    fingerprints = _named(connection, project, root, parts, event_ids)
    moved = _moved(connection, project, parts, fingerprints)
    number = change_rows.next_change(connection, project)
    made = derive_id("pattern", project, "split", number[1])[:16]
    before = Before(
        events={one: where for one, where in moved.items() if where != root},
        fingerprints=_stored(connection, project, fingerprints, root),
        decided=decided_different(connection, project, fingerprints),
    )
    _make(connection, project, made, source, _first(connection, project, moved))
    events = move_occurrences(connection, project, parts, dict.fromkeys(fingerprints, made))
    _put(connection, _put_fingerprint, project, dict.fromkeys(fingerprints, made))
    follow(connection, project, events)
    put(connection, project, made, representative(connection, project, [made], _NO_TEXT))
    if source.event_id in moved:
        columns = "event_id", "trace_id", "space", "text"
        before.representative = {name: getattr(source, name) for name in columns}
        put(connection, project, root, representative(connection, project, parts, _NO_TEXT))
    members = {root: parts, made: [made]}
    recount(connection, project, members)
    split_centroids(connection, project, number[1], parts, made)
    before.cases = move_cases(connection, project, events, made)
    settled = settle_cases(connection, project, members, number[1])
    before.cases = settled | before.cases  # a case that moved and was settled: as it was at first
    kept = representatives(connection, project, [root])
    pairs = [(kept[root], one) for one in fingerprints if root in kept]
    before.labels = label_pairs(connection, project, pairs, "different", "split", signed)
    detail = {
        "from": root,
        "to": made,
        "count": len(events),
        "events": events,
        "fingerprints": fingerprints,
    }
    return change_rows.add_change(connection, project, number, "split", signed, detail, before)


def unsplit(
    connection: Connection, project: str, change: PatternChange, before: Before, undo_id: str
) -> list[str]:
    """Take a split back. The pattern it made redirects to the one it came from."""
    root, made = change.detail["from"], change.detail["to"]
    events = events_of(connection, project, [made])
    theirs = connection.scalars(
        select(pattern_fingerprint.c.fingerprint).where(
            pattern_fingerprint.c.project == project, pattern_fingerprint.c.pattern_id == made
        )
    )
    back = {one: before.fingerprints.get(one, root) for one in theirs}
    _put(connection, _put_fingerprint, project, back)
    reopen(connection, project, made, before.decided)
    connection.execute(
        update(occurrence)
        .where(occurrence.c.project == project, occurrence.c.pattern_id == made)
        .values(pattern_id=root)
    )
    _put(connection, _put_event, project, before.events)
    follow(connection, project, events)
    put(connection, project, made, {"root": root})
    if before.representative is not None:
        fault = select(occurrence.c.fault).where(
            occurrence.c.project == project,
            occurrence.c.event_id == before.representative["event_id"],
        )
        now = {"fault": connection.scalar(fault)}  # it may have been learnt anew since
        put(connection, project, root, before.representative | now)
    members = members_of(connection, project, [root])
    recount(connection, project, members)
    undo_centroids(connection, project, change.change_id, members, root)
    for case_id, (pattern_id, superseded) in before.cases.items():
        put_case(connection, project, case_id, pattern_id, superseded)
    counting = [one for one, (_, superseded) in before.cases.items() if superseded is None]
    settle_cases(connection, project, members, undo_id, counting)
    unlabel_pairs(connection, project, before.labels, "split", change)
    return [root]


def _named(
    connection: Connection,
    project: str,
    root: str,
    parts: Sequence[str],
    event_ids: Sequence[str],
) -> list[str]:
    """The fingerprints of these events of a pattern, in order. Raises `NotPossible`."""
    if len(event_ids) > _MOST_NAMED:
        message = f"At most {_MOST_NAMED} occurrences can be named at once, not {len(event_ids)}."
        raise NotPossible(message)
    check_names("occurrence", event_ids)
    rows = connection.execute(
        select(occurrence.c.event_id, occurrence.c.fingerprint).where(
            occurrence.c.project == project,
            occurrence.c.event_id.in_(list(event_ids)),
            occurrence.c.pattern_id.in_(parts),
        )
    )
    found = {row.event_id: row.fingerprint for row in rows}
    unknown = [one for one in event_ids if one not in found]
    if unknown or not found:
        message = f"Pattern {root} has no occurrence {', '.join(unknown[:5])}."
        raise NotThere(message if unknown else f"No occurrence of pattern {root} was named.")
    return sorted(set(found.values()))


def _moved(
    connection: Connection, project: str, parts: Sequence[str], fingerprints: Sequence[str]
) -> dict[str, str]:
    """Events with these fingerprints, and the patterns they are stored with. Raises `NotPossible`."""
    theirs = (occurrence.c.project == project) & occurrence.c.pattern_id.in_(parts)
    with_text = occurrence.c.fingerprint.in_(list(fingerprints))
    left = connection.scalar(select(occurrence.c.event_id).where(theirs, ~with_text).limit(1))
    if left is None:
        message = (
            f"Nothing would be left of pattern {parts[0]}: every failure of it has the text of one "
            "that is to be split off. Name fewer."
        )
        raise NotPossible(message)
    rows = connection.execute(
        select(occurrence.c.event_id, occurrence.c.pattern_id).where(theirs, with_text)
    )
    return {row.event_id: row.pattern_id for row in rows}


def _stored(
    connection: Connection, project: str, fingerprints: Sequence[str], root: str
) -> dict[str, str]:
    """The patterns that fingerprints are stored with, where that is not the root itself."""
    rows = connection.execute(
        select(pattern_fingerprint.c.fingerprint, pattern_fingerprint.c.pattern_id).where(
            pattern_fingerprint.c.project == project,
            pattern_fingerprint.c.fingerprint.in_(list(fingerprints)),
            pattern_fingerprint.c.pattern_id != root,
        )
    )
    return {row.fingerprint: row.pattern_id for row in rows}


def _first(connection: Connection, project: str, moved: Iterable[str]) -> Any:
    """Any of the moved occurrences, for the columns that are told exactly later."""
    return connection.execute(
        select(occurrence)
        .where(occurrence.c.project == project, occurrence.c.event_id == next(iter(moved)))
        .limit(1)
    ).one()


def _make(connection: Connection, project: str, made: str, source: Any, first: Any) -> None:
    row = {
        "project": project,
        "pattern_id": made,
        "space": first.space,
        "text": "",
        "event_id": first.event_id,
        "trace_id": first.trace_id,
        "occurrences": 0,
        "first_failed_at": first.failed_at,
        "last_failed_at": first.failed_at,
        "fault": first.fault,
        "guard": source.guard,
        "root": made,
    }
    connection.execute(insert(pattern), row)


_put_fingerprint = (
    update(pattern_fingerprint)
    .where(
        pattern_fingerprint.c.project == bindparam("in_project"),
        pattern_fingerprint.c.fingerprint == bindparam("moved"),
    )
    .values(pattern_id=bindparam("now"))
)
_put_event = (
    update(occurrence)
    .where(
        occurrence.c.project == bindparam("in_project"), occurrence.c.event_id == bindparam("moved")
    )
    .values(pattern_id=bindparam("now"))
)


def _put(connection: Connection, statement: Update, project: str, now: Mapping[str, str]) -> None:
    rows = [
        {"in_project": project, "moved": moved, "now": pattern_id}
        for moved, pattern_id in sorted(now.items())
    ]
    if rows:
        connection.execute(statement, rows)
