"""Rows of patterns for whoever changes them: finding, counting, choosing a representative."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update

from services.pattern_changes import NotThere
from services.store.parts import is_part, rows_of
from services.store.pattern_rows import roots
from services.store.pattern_tables import embedding, occurrence, pattern, pattern_fingerprint
from services.store.tables import grade, promotion


def root_rows(connection: Connection, project: str, pattern_ids: Sequence[str]) -> list[Row[Any]]:
    """The patterns that these ids mean now, each once, in the given order. Raises `NotThere`."""
    check_names("pattern", pattern_ids)
    merged = roots(connection, project, pattern_ids)
    asked = list(dict.fromkeys(merged.get(one, one) for one in pattern_ids))
    rows = rows_of(
        connection,
        asked,
        lambda some: select(pattern).where(
            pattern.c.project == project, pattern.c.pattern_id.in_(some)
        ),
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


def recount(connection: Connection, project: str, roots: Sequence[str]) -> dict[str, int]:
    """Count the occurrences of these roots anew, and when they failed first and last."""
    counts: dict[str, int] = {}
    for root in roots:
        counted = connection.execute(
            select(
                func.count().label("times"),
                func.min(occurrence.c.failed_at).label("earliest"),
                func.max(occurrence.c.failed_at).label("latest"),
            ).where(of_pattern(project, root))
        ).one()
        values: dict[str, Any] = {"occurrences": counted.times}
        if counted.times:
            values |= {"first_failed_at": counted.earliest, "last_failed_at": counted.latest}
        put(connection, project, root, values)
        counts[root] = counted.times
    return counts


def put(connection: Connection, project: str, pattern_id: str, values: Mapping[str, Any]) -> None:
    """Change columns of one pattern."""
    connection.execute(
        update(pattern)
        .where(pattern.c.project == project, pattern.c.pattern_id == pattern_id)
        .values(**values)
    )


def representative(
    connection: Connection, project: str, root: str, otherwise: str
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
        .where(of_pattern(project, root))
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


def first_events(connection: Connection, project: str, root: str, limit: int) -> list[str]:
    """The earliest decided events of a pattern."""
    asked = select(occurrence.c.event_id).where(of_pattern(project, root))
    return list(connection.scalars(asked.order_by(occurrence.c.seq).limit(limit)))


def move_occurrences(connection: Connection, project: str, theirs: ColumnElement[bool]) -> None:
    """Occurrences go to the patterns that their texts belong to now, with promotions and grades."""
    events = select(occurrence.c.event_id).where(theirs)
    for table in (promotion, grade):
        of_event = (
            _now.join(occurrence, _its_text)
            .where(occurrence.c.project == project, occurrence.c.event_id == table.c.event_id)
            .scalar_subquery()
        )
        connection.execute(
            update(table)
            .where(table.c.project == project, table.c.event_id.in_(events))
            .values(pattern_id=func.coalesce(of_event, table.c.pattern_id))
        )
    own = _now.where(_its_text).scalar_subquery()
    connection.execute(
        update(occurrence)
        .where(theirs)
        .values(pattern_id=func.coalesce(own, occurrence.c.pattern_id))
    )


def of_pattern(project: str, root: str) -> ColumnElement[bool]:
    """Whether an occurrence is of this pattern."""
    return and_(occurrence.c.project == project, is_part(occurrence.c.pattern_id, project, root))


_now = select(pattern_fingerprint.c.pattern_id)
_its_text = and_(
    pattern_fingerprint.c.project == occurrence.c.project,
    pattern_fingerprint.c.fingerprint == occurrence.c.fingerprint,
)
