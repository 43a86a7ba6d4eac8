"""Grades, one for each event."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, select

from capture.events import SEVERITIES
from grade.events import Grade
from services.grader import Graduate
from services.store.database import Database
from services.store.pattern_rows import patterns_now
from services.store.tables import grade
from services.store.upsert import Upsert

_RANKS = " ".join(f"WHEN '{severity}' THEN {rank}" for rank, severity in enumerate(SEVERITIES))
_add_or_raise = Upsert(
    grade,
    "(project, event_id) DO UPDATE SET severity = excluded.severity, weight = excluded.weight, "
    "components = excluded.components "
    f"WHERE CASE excluded.severity {_RANKS} END > CASE grade.severity {_RANKS} END",
)


class Grades:
    """`services.grader.GradeStore`."""

    def __init__(self, database: Database) -> None:
        """Keep grades in `database`."""
        self._database = database

    async def settle(self, grades: Sequence[Graduate]) -> Mapping[str, Grade]:
        """Keep each grade unless the event has one as severe; return by event id the one it has now.

        Project by project, each under the lock that a split of its patterns takes too: a grade is of
        the pattern that its failure has when it is kept. Raises `Unavailable`.
        """
        ordered = sorted(grades, key=lambda one: (one.project, one.event_id))
        settled: dict[str, Grade] = {}
        for project, of_project in groupby(ordered, key=lambda one: one.project):
            told = list(of_project)
            settled |= await self._database.write(
                partial(_settle, project=project, grades=told), "promote", project=project
            )
        return settled


def _settle(
    connection: Connection, *, project: str, grades: Sequence[Graduate]
) -> dict[str, Grade]:
    now = patterns_now(connection, project, {one.event_id: one.pattern_id for one in grades})
    rows: list[dict[str, Any]] = [
        {
            "project": project,
            "event_id": one.event_id,
            "pattern_id": now[one.event_id],
            "severity": one.grade.severity,
            "weight": one.grade.weight,
            "components": one.grade.components,
        }
        for one in grades
    ]
    connection.execute(_add_or_raise, rows)
    kept = connection.execute(_grades_of(project, [one.event_id for one in grades]))
    return {
        row.event_id: Grade(severity=row.severity, weight=row.weight, components=row.components)
        for row in kept
    }


def _grades_of(project: str, event_ids: Sequence[str]) -> Select[Any]:
    columns = grade.c.event_id, grade.c.severity, grade.c.weight, grade.c.components
    return select(*columns).where(grade.c.project == project, grade.c.event_id.in_(event_ids))
