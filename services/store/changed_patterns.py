"""Rows of patterns for whoever changes them: finding, counting, choosing a representative."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update

from services.pattern_changes import NotThere
from services.store.pattern_rows import roots
from services.store.pattern_tables import embedding, occurrence, pattern


def root_rows(connection: Connection, project: str, pattern_ids: Sequence[str]) -> list[Row[Any]]:
    """The patterns that these ids mean now, each once, in the given order. Raises `NotThere`."""
    check_names("pattern", pattern_ids)
    merged = roots(connection, project, pattern_ids)
    asked = list(dict.fromkeys(merged.get(one, one) for one in pattern_ids))
    rows = connection.execute(
        select(pattern).where(pattern.c.project == project, pattern.c.pattern_id.in_(asked))
    )
    found = {row.pattern_id: row for row in rows}
    unknown = [one for one in asked if one not in found]
    if unknown:
        message = f"Project {project!r} has no pattern {', '.join(unknown)}."
        raise NotThere(message)
    return [found[one] for one in asked]


def check_names(what: str, names: Sequence[str]) -> None:
    """Raise `NotThere` for what is no id of ours, which PostgreSQL may not even take as a text."""
    odd = next((name for name in names if not name.isprintable()), None)
    if odd is not None:
        message = f"There is no {what} {odd[:80]!a}."
        raise NotThere(message)


def recount(connection: Connection, project: str, members: Mapping[str, Sequence[str]]) -> None:
    """Count the occurrences of these roots anew, and when they failed first and last."""
    for root, parts in members.items():
        counted = connection.execute(
            select(
                func.count().label("times"),
                func.min(occurrence.c.failed_at).label("earliest"),
                func.max(occurrence.c.failed_at).label("latest"),
            ).where(_of(project, parts))
        ).one()
        values: dict[str, Any] = {"occurrences": counted.times}
        if counted.times:
            values |= {"first_failed_at": counted.earliest, "last_failed_at": counted.latest}
        put(connection, project, root, values)


def put(connection: Connection, project: str, pattern_id: str, values: Mapping[str, Any]) -> None:
    """Change columns of one pattern."""
    connection.execute(
        update(pattern)
        .where(pattern.c.project == project, pattern.c.pattern_id == pattern_id)
        .values(**values)
    )


def representative(
    connection: Connection, project: str, parts: Sequence[str], otherwise: str
) -> dict[str, Any]:
    """The columns that a pattern has of its representative: its earliest failure with a kept text.

    Where no text of them was kept, the earliest failure, and `otherwise` with its trace for a text.
    """
    texts = and_(
        embedding.c.project == occurrence.c.project,
        embedding.c.space == occurrence.c.space,
        embedding.c.fingerprint == occurrence.c.fingerprint,
    )
    row = connection.execute(
        select(
            occurrence.c.event_id,
            occurrence.c.trace_id,
            occurrence.c.fault,
            occurrence.c.space,
            embedding.c.text,
        )
        .select_from(occurrence.outerjoin(embedding, texts))
        .where(_of(project, parts))
        .order_by(embedding.c.text.is_(None), occurrence.c.failed_at, occurrence.c.seq)
        .limit(1)
    ).one()
    return {
        "event_id": row.event_id,
        "trace_id": row.trace_id,
        "fault": row.fault,
        "space": row.space,
        "text": otherwise.format(trace=row.trace_id) if row.text is None else row.text,
    }


def events_of(connection: Connection, project: str, parts: Sequence[str]) -> list[str]:
    """Every event of these patterns."""
    asked = select(occurrence.c.event_id).where(_of(project, parts)).order_by(occurrence.c.seq)
    return list(connection.scalars(asked))


def move_occurrences(
    connection: Connection, project: str, source: Iterable[str], moved: Mapping[str, str]
) -> list[str]:
    """Give occurrences to other patterns, by fingerprint. Returns their events.

    `source`: the patterns they are of; `moved`: the pattern by fingerprint.
    """
    by_pattern: dict[str, list[str]] = {}
    for fingerprint, pattern_id in moved.items():
        by_pattern.setdefault(pattern_id, []).append(fingerprint)
    parts = sorted(source)
    events: list[str] = []
    for pattern_id, fingerprints in sorted(by_pattern.items()):
        for start in range(0, len(fingerprints), _NAMES_A_STATEMENT):
            some = fingerprints[start : start + _NAMES_A_STATEMENT]
            theirs = _of(project, parts) & occurrence.c.fingerprint.in_(some)
            events += connection.scalars(
                select(occurrence.c.event_id).where(theirs).order_by(occurrence.c.seq)
            )
            connection.execute(update(occurrence).where(theirs).values(pattern_id=pattern_id))
    return events


_NAMES_A_STATEMENT = 5_000


def _of(project: str, parts: Sequence[str]) -> Any:
    return and_(occurrence.c.project == project, occurrence.c.pattern_id.in_(parts))
