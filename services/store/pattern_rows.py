"""Patterns, fingerprints and occurrences as rows."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, insert, select, update

from capture.events import Fault
from dedup.assign import Decided, KnownFingerprint
from dedup.events import Assignment
from services.store.parts import in_steps
from services.store.pattern_tables import occurrence, pattern, pattern_fingerprint
from services.store.shapes import padded
from services.store.upsert import absorbing

_add_fingerprint = absorbing(pattern_fingerprint)

_latest = bindparam("latest", type_=pattern.c.last_failed_at.type)
_earliest = bindparam("earliest", type_=pattern.c.first_failed_at.type)
_count = (
    update(pattern)
    .where(
        pattern.c.project == bindparam("in_project"), pattern.c.pattern_id == bindparam("counted")
    )
    .values(
        occurrences=pattern.c.occurrences + bindparam("more"),
        first_failed_at=case(
            (pattern.c.first_failed_at > _earliest, _earliest), else_=pattern.c.first_failed_at
        ),
        last_failed_at=case(
            (pattern.c.last_failed_at < _latest, _latest), else_=pattern.c.last_failed_at
        ),
    )
)

_of_occurrence = and_(
    pattern.c.project == occurrence.c.project, pattern.c.pattern_id == occurrence.c.pattern_id
)
_of_fingerprint = and_(
    pattern.c.project == pattern_fingerprint.c.project,
    pattern.c.pattern_id == pattern_fingerprint.c.pattern_id,
)
_decisions = (
    select(occurrence, pattern.c.root)
    .select_from(occurrence.join(pattern, _of_occurrence))
    .where(
        occurrence.c.project == bindparam("in_project"),
        occurrence.c.event_id.in_(bindparam("asked", expanding=True)),
    )
)
_fingerprints = (
    select(pattern_fingerprint.c.fingerprint, pattern_fingerprint.c.distance, pattern.c.root)
    .select_from(pattern_fingerprint.join(pattern, _of_fingerprint))
    .where(
        pattern_fingerprint.c.project == bindparam("in_project"),
        pattern_fingerprint.c.fingerprint.in_(bindparam("asked", expanding=True)),
    )
)
_faults = (
    select(occurrence.c.event_id, occurrence.c.fault, occurrence.c.pattern_id, pattern.c.root)
    .select_from(occurrence.join(pattern, _of_occurrence))
    .where(
        occurrence.c.project == bindparam("in_project"),
        occurrence.c.event_id.in_(bindparam("asked", expanding=True)),
    )
)
_change_fault = (
    update(occurrence)
    .where(
        occurrence.c.project == bindparam("in_project"),
        occurrence.c.event_id == bindparam("of_event"),
    )
    .values(fault=bindparam("now"))
)
_change_representative = (  # by the pattern's id: no index has their events
    update(pattern)
    .where(
        pattern.c.project == bindparam("in_project"),
        pattern.c.pattern_id == bindparam("of_pattern"),
        pattern.c.event_id == bindparam("of_event"),
    )
    .values(fault=bindparam("now"))
)
_patterns_now = (
    select(occurrence.c.event_id, pattern.c.root)
    .select_from(occurrence.join(pattern, _of_occurrence))
    .where(
        occurrence.c.project == bindparam("in_project"),
        occurrence.c.event_id.in_(bindparam("asked", expanding=True)),
    )
)
_merged = select(pattern.c.pattern_id, pattern.c.root).where(
    pattern.c.project == bindparam("in_project"),
    pattern.c.pattern_id.in_(bindparam("asked", expanding=True)),
    pattern.c.root != pattern.c.pattern_id,
)


def decisions(
    connection: Connection, project: str, event_ids: Sequence[str]
) -> dict[str, Assignment]:
    """Decisions by event id; patterns as they are called now."""
    rows = connection.execute(_decisions, {"in_project": project, "asked": padded(event_ids)})
    return {
        row.event_id: Assignment(
            pattern_id=row.root,
            decided_by=row.decided_by,
            distance=row.distance,
            nearest_distance=row.nearest_distance,
            fingerprint=row.fingerprint,
            embedding_space=row.space,
            grey=row.grey,
        )
        for row in rows
    }


def fingerprints(
    connection: Connection, project: str, asked: Sequence[str]
) -> dict[str, KnownFingerprint]:
    """Patterns by fingerprint, as they are called now."""
    rows = connection.execute(_fingerprints, {"in_project": project, "asked": padded(asked)})
    return {row.fingerprint: KnownFingerprint(row.root, row.distance) for row in rows}


def roots(connection: Connection, project: str, pattern_ids: Iterable[str]) -> dict[str, str]:
    """Those of these patterns that were merged, and what they are part of now."""
    asked = sorted(set(pattern_ids))
    if not asked:
        return {}
    return {
        row.pattern_id: row.root
        for some in in_steps(asked)
        for row in connection.execute(_merged, {"in_project": project, "asked": padded(some)})
    }


def patterns_now(connection: Connection, project: str, told: Mapping[str, str]) -> dict[str, str]:
    """By event the pattern that it counts to now. `told`: by event the pattern when it was decided.

    Of an event whose occurrence is not there, what that pattern is part of now.
    """
    asked = {"in_project": project, "asked": sorted(told)}
    now = {row.event_id: row.root for row in connection.execute(_patterns_now, asked)}
    merged = roots(connection, project, {told[one] for one in told if one not in now})
    return {one: now.get(one) or merged.get(told[one], told[one]) for one in told}


def undecided(
    connection: Connection,
    project: str,
    decided: Iterable[Decided],
    open_: AbstractSet[str] = frozenset(),
) -> Sequence[Decided]:
    """Each event once, without those that were decided before. `open_` is known not to be."""
    first: dict[str, Decided] = {}
    for one in decided:
        first.setdefault(one.candidate.event_id, one)
    asked = [event_id for event_id in first if event_id not in open_]
    if not asked:
        return list(first.values())
    known = connection.scalars(
        select(occurrence.c.event_id).where(
            occurrence.c.project == project, occurrence.c.event_id.in_(padded(asked))
        )
    )
    for event_id in known:
        del first[event_id]
    return list(first.values())


def add_patterns(connection: Connection, project: str, decided: Iterable[Decided]) -> None:
    """The patterns that these decisions begin, with nothing counted yet."""
    rows = [
        {
            "project": project,
            "pattern_id": one.assignment.pattern_id,
            "space": one.assignment.embedding_space,
            "text": one.candidate.text,
            "event_id": one.candidate.event_id,
            "trace_id": one.candidate.trace_id,
            "occurrences": 0,
            "first_failed_at": one.candidate.failed_at,
            "last_failed_at": one.candidate.failed_at,
            "fault": one.candidate.fault,
            "guard": one.candidate.guard,
            "root": one.assignment.pattern_id,
        }
        for one in decided
        if one.assignment.decided_by == "first"
    ]
    if rows:
        connection.execute(insert(pattern), rows)


def add_occurrences(connection: Connection, project: str, decided: Sequence[Decided]) -> None:
    """Fingerprints, occurrences, and one more for each in its pattern's count."""
    joined = {one.assignment.pattern_id for one in decided if one.assignment.decided_by != "first"}
    now = roots(connection, project, joined)  # a merge may have come between index and lock
    places = [now.get(one.assignment.pattern_id, one.assignment.pattern_id) for one in decided]
    pairs = list(zip(decided, places, strict=True))
    connection.execute(
        _add_fingerprint,
        [
            {
                "project": project,
                "fingerprint": one.assignment.fingerprint,
                "pattern_id": pattern_id,
                "distance": one.assignment.distance,
            }
            for one, pattern_id in pairs
        ],
    )
    connection.execute(insert(occurrence), [_row(project, one, where) for one, where in pairs])
    connection.execute(_count, _counts(project, pairs))


def change_faults(connection: Connection, project: str, faults: Mapping[str, Fault]) -> None:
    """Note whose failures these are, by event id, where that has changed."""
    asked = {"in_project": project, "asked": sorted(faults)}
    found = connection.execute(_faults, asked).all()
    changed = sorted(one for one in found if one.fault != faults[one.event_id])
    if not changed:  # most that comes again says nothing new
        return
    connection.execute(
        _change_fault,
        [
            {"in_project": project, "of_event": one.event_id, "now": faults[one.event_id]}
            for one in changed
        ],
    )
    places = sorted(
        {(part, one.event_id) for one in changed for part in (one.pattern_id, one.root)}
    )
    connection.execute(
        _change_representative,
        [
            {"in_project": project, "of_pattern": part, "of_event": one, "now": faults[one]}
            for part, one in places
        ],
    )


def _row(project: str, one: Decided, pattern_id: str) -> dict[str, Any]:
    return {
        "project": project,
        "event_id": one.candidate.event_id,
        "trace_id": one.candidate.trace_id,
        "pattern_id": pattern_id,
        "decided_by": one.assignment.decided_by,
        "distance": one.assignment.distance,
        "nearest_distance": one.assignment.nearest_distance,
        "fingerprint": one.assignment.fingerprint,
        "space": one.assignment.embedding_space,
        "failed_at": one.candidate.failed_at,
        "fault": one.candidate.fault,
        "grey": one.assignment.grey,
    }


def _counts(project: str, pairs: Sequence[tuple[Decided, str]]) -> list[dict[str, Any]]:
    times: dict[str, list[Any]] = {}
    for one, pattern_id in pairs:
        times.setdefault(pattern_id, []).append(one.candidate.failed_at)
    return [
        {
            "in_project": project,
            "counted": pattern_id,
            "more": len(failed_at),
            "earliest": min(failed_at),
            "latest": max(failed_at),
        }
        for pattern_id, failed_at in sorted(times.items())
    ]
