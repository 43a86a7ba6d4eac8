"""The eval store as promote writes it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy import case as when

from promote.case import Case
from promote.rules import raised
from services.promoter import Promotion
from services.store.database import Database
from services.store.tables import eval_case, pattern, promotion
from services.store.upsert import absorbing

_add_promotion = absorbing(promotion).returning(promotion.c.event_id)

_latest = bindparam("latest", type_=eval_case.c.last_failed_at.type)
_count = (
    update(eval_case)
    .where(
        eval_case.c.project == bindparam("in_project"),
        eval_case.c.pattern_id == bindparam("counted"),
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
        events = {one.event_id: one for one in reversed(promotions)}
        rows = [_promotion_row(project, one) for _, one in sorted(events.items())]

        def work(connection: Connection) -> dict[str, Case]:
            added = connection.execute(_add_promotion, rows)
            new = [events[row.event_id] for row in added]
            patterns = {one.pattern_id for one in promotions}
            have = _patterns_with_case(connection, project, patterns)
            counts = _counts(project, [one for one in new if one.pattern_id in have])
            if counts:
                connection.execute(_count, counts)
            _raise(connection, project, promotions)
            self._make(connection, project, promotions, have)
            return _made_from(connection, project, list(events))

        return await self._database.write(work, "promote", project)

    def _make(
        self,
        connection: Connection,
        project: str,
        promotions: Sequence[Promotion],
        have: set[str],
    ) -> None:
        """The cases of patterns that have none, with everything that was counted before."""
        open_ = [one for one in promotions if one.case is not None and one.pattern_id not in have]
        others = {one.pattern_id for one in open_ if not one.represents}
        orphans = _kept_outages(connection, project, others) if others else set()
        first: dict[str, tuple[str, Case]] = {}
        for one in sorted(open_, key=lambda one: not one.represents):
            if one.case is not None and (one.represents or one.pattern_id in orphans):
                first.setdefault(one.pattern_id, (one.event_id, one.case))
        if not first:
            return
        counted = connection.execute(
            select(
                promotion.c.pattern_id,
                func.count().label("occurrences"),
                func.max(promotion.c.failed_at).label("latest"),
            )
            .where(promotion.c.project == project, promotion.c.pattern_id.in_(sorted(first)))
            .group_by(promotion.c.pattern_id)
        )
        rows = [
            _case_row(*first[row.pattern_id], occurrences=row.occurrences, latest=row.latest)
            for row in counted
        ]
        connection.execute(insert(eval_case), rows)


def _patterns_with_case(connection: Connection, project: str, patterns: Iterable[str]) -> set[str]:
    rows = connection.execute(
        select(eval_case.c.pattern_id).where(
            eval_case.c.project == project, eval_case.c.pattern_id.in_(sorted(patterns))
        )
    )
    return {row.pattern_id for row in rows}


def _kept_outages(connection: Connection, project: str, patterns: Iterable[str]) -> set[str]:
    """Those of these patterns whose representative was an outage, and so makes no case."""
    rows = connection.execute(
        select(pattern.c.pattern_id).where(
            pattern.c.project == project,
            pattern.c.pattern_id.in_(sorted(patterns)),
            pattern.c.fault == "infrastructure",
        )
    )
    return {row.pattern_id for row in rows}


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


def _counts(project: str, new: Sequence[Promotion]) -> list[dict[str, Any]]:
    times: dict[str, list[datetime]] = {}
    for one in new:
        times.setdefault(one.pattern_id, []).append(one.failed_at)
    return [
        {
            "in_project": project,
            "counted": pattern_id,
            "more": len(failed_at),
            "latest": max(failed_at),
        }
        for pattern_id, failed_at in sorted(times.items())
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
