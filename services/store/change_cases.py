"""Cases, promotions and grades follow their failures when patterns are merged or split."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select, update

from services.store.pattern_tables import occurrence, pattern
from services.store.tables import eval_case, grade, promotion

_NAMES_A_STATEMENT = 5_000

Kept = dict[str, tuple[str, str | None]]
"""By case id: the pattern it is of, and the change that superseded it."""


def follow(connection: Connection, project: str, event_ids: Sequence[str]) -> None:
    """Count promotions and grades of these events to the patterns of their occurrences."""
    for start in range(0, len(event_ids), _NAMES_A_STATEMENT):
        some = event_ids[start : start + _NAMES_A_STATEMENT]
        for table in (promotion, grade):
            where = (
                select(occurrence.c.pattern_id)
                .where(occurrence.c.project == project, occurrence.c.event_id == table.c.event_id)
                .scalar_subquery()
            )
            connection.execute(
                update(table)
                .where(table.c.project == project, table.c.event_id.in_(some))
                .values(pattern_id=where)
            )


def move_cases(connection: Connection, project: str, event_ids: Sequence[str], to: str) -> Kept:
    """Cases that were made from these events go with them. Returns how they were."""
    before: Kept = {}
    for start in range(0, len(event_ids), _NAMES_A_STATEMENT):
        some = event_ids[start : start + _NAMES_A_STATEMENT]
        theirs = (eval_case.c.project == project) & eval_case.c.from_event_id.in_(some)
        asked = select(
            eval_case.c.case_id, eval_case.c.pattern_id, eval_case.c.superseded_by
        ).where(theirs)
        found = connection.execute(asked).all()
        before |= {row.case_id: (row.pattern_id, row.superseded_by) for row in found}
        if found:
            connection.execute(update(eval_case).where(theirs).values(pattern_id=to))
    return before


def settle_cases(
    connection: Connection,
    project: str,
    members: Mapping[str, Sequence[str]],
    change_id: str,
    preferred: Sequence[str] = (),
) -> Kept:
    """One case counts for each pattern, with all that was promoted of it. Returns how others were.

    It is the preferred one, else the pattern's own, else the earliest. The others stay, superseded.
    Where none counted, one of them counts again. `members`: by root, the ids that are part of it.
    """
    before: Kept = {}
    for root, parts in members.items():
        rows = connection.execute(
            select(
                eval_case.c.case_id,
                eval_case.c.pattern_id,
                eval_case.c.superseded_by,
                eval_case.c.created_at,
            ).where(eval_case.c.project == project, eval_case.c.pattern_id.in_(parts))
        ).all()
        if not rows:
            continue
        ranked = sorted(
            rows,
            key=lambda row: (
                row.case_id not in preferred,
                row.superseded_by is not None,
                row.pattern_id != root,
                row.created_at,
                row.case_id,
            ),
        )
        for row in ranked:
            superseded = None if row is ranked[0] else row.superseded_by or change_id
            if superseded != row.superseded_by:
                before[row.case_id] = (row.pattern_id, row.superseded_by)
                put_case(connection, project, row.case_id, row.pattern_id, superseded)
        _count(connection, project, ranked[0].case_id, parts)
    return before


def put_case(
    connection: Connection, project: str, case_id: str, pattern_id: str, superseded: str | None
) -> None:
    """Say which pattern a case is of, and whether it counts."""
    connection.execute(
        update(eval_case)
        .where(eval_case.c.project == project, eval_case.c.case_id == case_id)
        .values(pattern_id=pattern_id, superseded_by=superseded)
    )


def _count(connection: Connection, project: str, case_id: str, parts: Sequence[str]) -> None:
    counted = connection.execute(
        select(func.count().label("times"), func.max(promotion.c.failed_at).label("latest")).where(
            promotion.c.project == project, promotion.c.pattern_id.in_(parts)
        )
    ).one()
    if counted.times:
        connection.execute(
            update(eval_case)
            .where(eval_case.c.project == project, eval_case.c.case_id == case_id)
            .values(occurrences=counted.times, last_failed_at=counted.latest)
        )


def members_of(connection: Connection, project: str, roots: Sequence[str]) -> dict[str, list[str]]:
    """By root, itself first, every id that means it."""
    found: dict[str, list[str]] = {root: [root] for root in roots}
    rows = connection.execute(
        select(pattern.c.pattern_id, pattern.c.root)
        .where(
            pattern.c.project == project,
            pattern.c.root.in_(roots),
            pattern.c.root != pattern.c.pattern_id,
        )
        .order_by(pattern.c.pattern_id)
    )
    for row in rows:
        found[row.root].append(row.pattern_id)
    return found
