"""The eval store as promote writes it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy import case as when

from capture.ids import derive_id
from promote.case import Case
from promote.rules import raised
from services.promoter import Promotion
from services.store.database import Database
from services.store.parts import merged_into
from services.store.pattern_rows import patterns_now
from services.store.pattern_tables import pattern
from services.store.tables import eval_case, promotion
from services.store.upsert import absorbing

_add_promotion = absorbing(promotion).returning(promotion.c.event_id)

_latest = bindparam("latest", type_=eval_case.c.last_failed_at.type)
_count = (
    update(eval_case)
    .where(
        eval_case.c.project == bindparam("in_project"),
        eval_case.c.case_id == bindparam("counted"),
    )
    .values(
        occurrences=eval_case.c.occurrences + bindparam("more"),
        last_failed_at=when(
            (eval_case.c.last_failed_at < _latest, _latest), else_=eval_case.c.last_failed_at
        ),
    )
)


_change = (
    update(eval_case)
    .where(
        eval_case.c.project == bindparam("in_project"),
        eval_case.c.from_event_id == bindparam("made_from"),
    )
    .values(
        set=bindparam("new_set"),
        severity=bindparam("new_severity"),
        weight=bindparam("new_weight"),
        label=bindparam("new_label", type_=eval_case.c.label.type),
        body=bindparam("new_body", type_=eval_case.c.body.type),
    )
)


class Cases:
    """`services.promoter.CaseStore`."""

    def __init__(self, database: Database) -> None:
        """Keep cases in `database`."""
        self._database = database

    async def promote(self, project: str, promotions: Sequence[Promotion]) -> Mapping[str, Case]:
        """Count every event once, and make the case of a pattern that has none yet.

        Returns by event id the case as it is kept, for the events that a case was made from, now
        or earlier. Raises `Unavailable`.
        """
        if not promotions:
            return {}
        return await self._database.write(
            lambda connection: self._promote(connection, project, promotions),
            "promote",
            project=project,
        )

    def _promote(
        self, connection: Connection, project: str, told: Sequence[Promotion]
    ) -> dict[str, Case]:
        promotions = _as_patterns_are_now(connection, project, told)
        events = {one.event_id: one for one in reversed(promotions)}
        rows = [_promotion_row(project, one) for _, one in sorted(events.items())]
        new = [events[row.event_id] for row in connection.execute(_add_promotion, rows)]
        roots = sorted({one.pattern_id for one in promotions})
        have = _counting_cases(connection, project, roots)
        counts = _counts(project, [one for one in new if one.pattern_id in have], have)
        if counts:
            connection.execute(_count, counts)
        _raise(connection, project, promotions)
        self._make(connection, project, promotions, have)
        return _made_from(connection, project, list(events))

    def _make(
        self,
        connection: Connection,
        project: str,
        promotions: Sequence[Promotion],
        have: Mapping[str, str],
    ) -> None:
        """The cases of patterns that have none, with everything that was counted before."""
        open_ = [one for one in promotions if one.case is not None and one.pattern_id not in have]
        others = {one.pattern_id for one in open_ if not one.represents}
        orphans = _without_representative(connection, project, others) if others else set()
        first: dict[str, tuple[str, Case]] = {}
        for one in sorted(open_, key=lambda one: not one.represents):
            if one.case is not None and (one.represents or one.pattern_id in orphans):
                first.setdefault(one.pattern_id, (one.event_id, one.case))
        if not first:
            return
        counted = _promoted(connection, project, sorted(first))
        taken = _taken(connection, project, [case.case_id for _, case in first.values()])
        rows = [
            _case_row(
                event_id,
                _under_own_name(case, event_id) if case.case_id in taken else case,
                occurrences=counted[root][0],
                latest=counted[root][1],
            )
            for root, (event_id, case) in first.items()
        ]
        connection.execute(insert(eval_case), rows)


def _as_patterns_are_now(
    connection: Connection, project: str, told: Sequence[Promotion]
) -> list[Promotion]:
    """Promotions with the patterns that their failures belong to since the last merge or split."""
    now = patterns_now(connection, project, {one.event_id: one.pattern_id for one in told})
    return [
        one
        if now[one.event_id] == one.pattern_id
        else msgspec.structs.replace(
            one,
            pattern_id=now[one.event_id],
            case=None
            if one.case is None
            else msgspec.structs.replace(one.case, pattern_id=now[one.event_id]),
        )
        for one in told
    ]


def _counting_cases(connection: Connection, project: str, roots: Sequence[str]) -> dict[str, str]:
    """By pattern the id of the case that counts for it, where there is one."""
    mine = and_(eval_case.c.project == project, eval_case.c.superseded_by.is_(None))
    columns = eval_case.c.pattern_id.label("root"), eval_case.c.case_id
    own = select(*columns).where(mine, eval_case.c.pattern_id.in_(roots))
    parts = select(pattern.c.root, eval_case.c.case_id).join_from(
        pattern, eval_case, and_(merged_into(eval_case, project, roots), mine)
    )
    return {row.root: row.case_id for query in (parts, own) for row in connection.execute(query)}


def _promoted(
    connection: Connection, project: str, roots: Sequence[str]
) -> dict[str, tuple[int, datetime]]:
    """By pattern how many of its failures were promoted, and when the latest of them failed."""
    counts = func.count().label("times"), func.max(promotion.c.failed_at).label("latest")
    own = (
        select(promotion.c.pattern_id.label("root"), *counts)
        .where(promotion.c.project == project, promotion.c.pattern_id.in_(roots))
        .group_by(promotion.c.pattern_id)
    )
    parts = (
        select(pattern.c.root, *counts)
        .join_from(pattern, promotion, merged_into(promotion, project, roots))
        .group_by(pattern.c.root)
    )
    found: dict[str, tuple[int, datetime]] = {}
    for query in (own, parts):
        for row in connection.execute(query):
            times, latest = found.get(row.root, (0, row.latest))
            found[row.root] = times + row.times, max(latest, row.latest)
    return found


def _without_representative(
    connection: Connection, project: str, patterns: Iterable[str]
) -> set[str]:
    """Those of these patterns whose representative makes no case.

    It was an outage, or it came by and made none for them: a split gave its pattern another one.
    """
    promoted = and_(
        promotion.c.project == pattern.c.project, promotion.c.event_id == pattern.c.event_id
    )
    rows = connection.execute(
        select(pattern.c.pattern_id)
        .select_from(pattern.outerjoin(promotion, promoted))
        .where(
            pattern.c.project == project,
            pattern.c.pattern_id.in_(sorted(patterns)),
            or_(pattern.c.fault == "infrastructure", promotion.c.event_id.is_not(None)),
        )
    )
    return {row.pattern_id for row in rows}


def _taken(connection: Connection, project: str, case_ids: Sequence[str]) -> set[str]:
    asked = select(eval_case.c.case_id).where(
        eval_case.c.project == project, eval_case.c.case_id.in_(case_ids)
    )
    return set(connection.scalars(asked))


def _under_own_name(case: Case, event_id: str) -> Case:
    """Its pattern's first case went elsewhere with a split, and kept the name made of the pattern."""
    name = derive_id("case", case.project, case.pattern_id, event_id)[:16]
    return msgspec.structs.replace(case, case_id=name)


def _raise(connection: Connection, project: str, promotions: Sequence[Promotion]) -> None:
    """Raise the cases whose own failure came again graver."""
    told = {one.event_id: one.case for one in promotions if one.case is not None}
    if not told:
        return
    for event_id, kept in _made_from(connection, project, sorted(told)).items():
        changed = raised(kept, told[event_id])
        if changed is not None:
            connection.execute(_change, [_change_row(project, event_id, changed)])


def _made_from(connection: Connection, project: str, event_ids: Sequence[str]) -> dict[str, Case]:
    rows = connection.execute(
        select(eval_case.c.from_event_id, eval_case.c.body).where(
            eval_case.c.project == project, eval_case.c.from_event_id.in_(event_ids)
        )
    )
    return {row.from_event_id: row.body for row in rows}


def _counts(
    project: str, new: Sequence[Promotion], cases: Mapping[str, str]
) -> list[dict[str, Any]]:
    times: dict[str, list[datetime]] = {}
    for one in new:
        times.setdefault(cases[one.pattern_id], []).append(one.failed_at)
    return [
        {"in_project": project, "counted": case_id, "more": len(at), "latest": max(at)}
        for case_id, at in sorted(times.items())
    ]


def _promotion_row(project: str, one: Promotion) -> dict[str, Any]:
    return {
        "project": project,
        "event_id": one.event_id,
        "trace_id": one.trace_id,
        "pattern_id": one.pattern_id,
        "failed_at": one.failed_at,
    }


def _change_row(project: str, event_id: str, case: Case) -> dict[str, Any]:
    return {
        "in_project": project,
        "made_from": event_id,
        "new_set": case.set,
        "new_severity": case.severity,
        "new_weight": case.weight,
        "new_label": case.label,
        "new_body": case,
    }


def _case_row(event_id: str, case: Case, *, occurrences: int, latest: datetime) -> dict[str, Any]:
    return {
        "project": case.project,
        "case_id": case.case_id,
        "pattern_id": case.pattern_id,
        "from_event_id": event_id,
        "set": case.set,
        "severity": case.severity,
        "weight": case.weight,
        "label": case.label,
        "occurrences": occurrences,
        "last_failed_at": latest,
        "created_at": case.created_at,
        "body": case,
    }
