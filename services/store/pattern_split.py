"""Occurrences that become a pattern of their own, and go back."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    func,
    insert,
    select,
    update,
)

from capture.ids import derive_id
from services.pattern_changes import EVENTS_TOLD, NotPossible, NotThere, PatternChange
from services.store import change_rows, medoids
from services.store.change_cases import move_cases, put_case, settle_cases
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
    first_events,
    move_occurrences,
    of_pattern,
    put,
    recount,
    representative,
    root_rows,
)
from services.store.parts import rows_of
from services.store.pattern_tables import occurrence, pattern, pattern_fingerprint
from services.store.rewritten import alike_in, written_now

_MOST_NAMED = 10_000  # names that one statement takes on both databases, with room
_NO_TEXT = "(The text of this failure was not kept. It is in trace {trace}.)"


def split(
    connection: Connection, project: str, pattern_id: str, event_ids: Sequence[str], signed: Signed
) -> PatternChange:
    """Give occurrences a pattern of their own, with all of the same fingerprint. Raises `NotPossible`."""
    (source,) = root_rows(connection, project, [pattern_id])
    root = source.pattern_id
    named = _named(connection, project, root, event_ids)
    fingerprints = alike_in(connection, project, root, named)
    number = change_rows.next_change(connection, project)
    made = derive_id("pattern", project, "split", number[1])[:16]
    until = connection.scalar(
        select(func.max(occurrence.c.seq)).where(occurrence.c.project == project)
    )
    before = Before(
        fingerprints=_stored(connection, project, fingerprints, root),
        decided=decided_different(connection, project, fingerprints),
        until=until,
    )
    _make(connection, project, made, source, event_ids[0])
    _put(connection, project, dict.fromkeys(fingerprints, made))
    move_occurrences(connection, project, _with_text_of(project, root, made))
    _refuse_all(connection, project, root)
    put(connection, project, made, representative(connection, project, made, _NO_TEXT))
    if _pattern_of(connection, project, source.event_id) == made:
        columns = "event_id", "trace_id", "space", "text"
        before.representative = {name: getattr(source, name) for name in columns}
        put(connection, project, root, representative(connection, project, root, _NO_TEXT))
    counts = recount(connection, project, [root, made])
    split_centroids(connection, project, number[1], root, made)
    medoids.follow(connection, project, [root, made])
    before.cases = move_cases(connection, project, made)
    settled = settle_cases(connection, project, [root, made], number[1])
    before.cases = settled | before.cases  # a case that moved and was settled: as it was at first
    kept = representatives(connection, project, [root])
    pairs = [(kept[root], one) for one in fingerprints if root in kept]
    before.labels = label_pairs(connection, project, pairs, "different", "split", signed)
    detail = {
        "from": root,
        "to": made,
        "count": counts[made],
        "events": first_events(connection, project, made, EVENTS_TOLD),
        "fingerprints": fingerprints,
    }
    return change_rows.add_change(connection, project, number, "split", signed, detail, before)


def unsplit(
    connection: Connection, project: str, change: PatternChange, before: Before, undo_id: str
) -> list[str]:
    """Take a split back. The pattern it made redirects to the one it came from."""
    root, made = change.detail["from"], change.detail["to"]
    theirs = connection.scalars(
        select(pattern_fingerprint.c.fingerprint).where(
            pattern_fingerprint.c.project == project, pattern_fingerprint.c.pattern_id == made
        )
    )
    stored = _stored_before(connection, project, before)
    reopen(connection, project, made, before.decided)
    _put(connection, project, {one: stored.get(one, root) for one in theirs})
    of_made = (occurrence.c.project == project) & (occurrence.c.pattern_id == made)
    move_occurrences(connection, project, of_made)
    put(connection, project, made, {"root": root})
    if before.representative is not None:
        fault = select(occurrence.c.fault).where(
            occurrence.c.project == project,
            occurrence.c.event_id == before.representative["event_id"],
        )
        now = {"fault": connection.scalar(fault)}  # it may have been learnt anew since
        put(connection, project, root, before.representative | now)
    recount(connection, project, [root])
    undo_centroids(connection, project, change.change_id, [root], root)
    medoids.follow(connection, project, [root], [made])
    for case_id, (pattern_id, superseded) in before.cases.items():
        put_case(connection, project, case_id, pattern_id, superseded)
    counting = [one for one, (_, superseded) in before.cases.items() if superseded is None]
    settle_cases(connection, project, [root], undo_id, counting)
    unlabel_pairs(connection, project, before.labels, "split", change)
    return [root]


def _named(connection: Connection, project: str, root: str, event_ids: Sequence[str]) -> list[str]:
    """The fingerprints of these events of a pattern, in order. Raises `NotPossible`."""
    if len(event_ids) > _MOST_NAMED:
        message = f"At most {_MOST_NAMED} occurrences can be named at once, not {len(event_ids)}."
        raise NotPossible(message)
    check_names("occurrence", event_ids)
    rows = rows_of(
        connection,
        event_ids,
        lambda some: select(occurrence.c.event_id, occurrence.c.fingerprint).where(
            of_pattern(project, root), occurrence.c.event_id.in_(some)
        ),
    )
    found = {row.event_id: row.fingerprint for row in rows}
    unknown = [one for one in event_ids if one not in found]
    if unknown or not found:
        message = f"Pattern {root} has no occurrence {', '.join(unknown[:5])}."
        raise NotThere(message if unknown else f"No occurrence of pattern {root} was named.")
    return sorted(set(found.values()))


def _with_text_of(project: str, root: str, made: str) -> ColumnElement[bool]:
    """Occurrences of a pattern whose text belongs to the one that is made of it."""
    texts = select(pattern_fingerprint.c.fingerprint).where(
        pattern_fingerprint.c.project == project, pattern_fingerprint.c.pattern_id == made
    )
    return and_(of_pattern(project, root), occurrence.c.fingerprint.in_(texts))


def _refuse_all(connection: Connection, project: str, root: str) -> None:
    """Raise `NotPossible` where a split has left nothing. The transaction takes it all back."""
    left = select(occurrence.c.event_id).where(of_pattern(project, root)).limit(1)
    if connection.scalar(left) is None:
        message = (
            f"Nothing would be left of pattern {root}: every failure of it has the text of one "
            "that is to be split off. Name fewer."
        )
        raise NotPossible(message)


def _pattern_of(connection: Connection, project: str, event_id: str) -> str | None:
    found: str | None = connection.scalar(
        select(occurrence.c.pattern_id).where(
            occurrence.c.project == project, occurrence.c.event_id == event_id
        )
    )
    return found


def _stored(
    connection: Connection, project: str, fingerprints: Sequence[str], root: str
) -> dict[str, str]:
    """The patterns that fingerprints are stored with, where that is not the root itself."""
    table = pattern_fingerprint
    rows = rows_of(
        connection,
        fingerprints,
        lambda some: select(table.c.fingerprint, table.c.pattern_id).where(
            table.c.project == project, table.c.fingerprint.in_(some), table.c.pattern_id != root
        ),
    )
    return {row.fingerprint: row.pattern_id for row in rows}


def _stored_before(connection: Connection, project: str, before: Before) -> dict[str, str]:
    """The same, as a change found them; for what was written anew since, as its former text."""
    now = written_now(connection, project, sorted(before.fingerprints))
    again = {now[one]: where for one, where in before.fingerprints.items() if one in now}
    return again | before.fingerprints


def _make(connection: Connection, project: str, made: str, source: Row[Any], event_id: str) -> None:
    """A pattern with nothing counted yet. What it says of its failures is told exactly later."""
    first = connection.execute(
        select(occurrence).where(occurrence.c.project == project, occurrence.c.event_id == event_id)
    ).one()
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


def _put(connection: Connection, project: str, now: Mapping[str, str]) -> None:
    rows = [
        {"in_project": project, "moved": moved, "now": pattern_id}
        for moved, pattern_id in sorted(now.items())
    ]
    if rows:
        connection.execute(_put_fingerprint, rows)
