"""Cases, promotions and grades follow their failures when patterns are merged or split."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, update

from services.store.parts import is_part
from services.store.pattern_tables import occurrence
from services.store.tables import eval_case, promotion

Kept = dict[str, tuple[str, str | None]]
"""By case id: the pattern it is of, and the change that superseded it."""


def move_cases(connection: Connection, project: str, to: str) -> Kept:
    """Cases go with the failures that they were made from. Returns how they were.

    `to`: the pattern that the failures have gone to.
    """
    events = select(occurrence.c.event_id).where(
        occurrence.c.project == project, occurrence.c.pattern_id == to
    )
    theirs = (eval_case.c.project == project) & eval_case.c.from_event_id.in_(events)
    asked = select(eval_case.c.case_id, eval_case.c.pattern_id, eval_case.c.superseded_by)
    found = connection.execute(asked.where(theirs)).all()
    if found:
        connection.execute(update(eval_case).where(theirs).values(pattern_id=to))
    return {row.case_id: (row.pattern_id, row.superseded_by) for row in found}


def settle_cases(
    connection: Connection,
    project: str,
    roots: Sequence[str],
    change_id: str,
    preferred: Sequence[str] = (),
) -> Kept:
    """One case counts for each pattern, with all that was promoted of it. Returns how others were.

    It is the preferred one, else the pattern's own, else the earliest. The others stay, superseded.
    Where none counted, one of them counts again.
    """
    before: Kept = {}
    for root in roots:
        rows = connection.execute(
            select(
                eval_case.c.case_id,
                eval_case.c.pattern_id,
                eval_case.c.superseded_by,
                eval_case.c.created_at,
            ).where(eval_case.c.project == project, is_part(eval_case.c.pattern_id, project, root))
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
        _count(connection, project, ranked[0].case_id, root)
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


def _count(connection: Connection, project: str, case_id: str, root: str) -> None:
    counted = connection.execute(
        select(func.count().label("times"), func.max(promotion.c.failed_at).label("latest")).where(
            promotion.c.project == project, is_part(promotion.c.pattern_id, project, root)
        )
    ).one()
    if counted.times:
        connection.execute(
            update(eval_case)
            .where(eval_case.c.project == project, eval_case.c.case_id == case_id)
            .values(occurrences=counted.times, last_failed_at=counted.latest)
        )
