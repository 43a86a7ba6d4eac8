"""Grades, one for each event."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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

        Raises `Unavailable`.
        """
        if not grades:
            return {}
        ordered = sorted(grades, key=lambda one: (one.project, one.event_id))
        rows: list[dict[str, Any]] = [
            {
                "project": one.project,
                "event_id": one.event_id,
                "pattern_id": one.pattern_id,
                "severity": one.grade.severity,
                "weight": one.grade.weight,
                "components": one.grade.components,
            }
            for one in ordered
        ]
        events: defaultdict[str, list[str]] = defaultdict(list)
        for one in ordered:
            events[one.project].append(one.event_id)

        def settle(connection: Connection) -> dict[str, Grade]:
            _name_patterns(connection, rows)
            connection.execute(_add_or_raise, rows)
            return {
                row.event_id: Grade(
                    severity=row.severity, weight=row.weight, components=row.components
                )
                for project, event_ids in events.items()
                for row in connection.execute(_grades_of(project, event_ids))
            }

        return await self._database.write(settle)


def _name_patterns(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Patterns as they are called since the last merge or split, which may be after the message."""
    told: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        told[row["project"]][row["event_id"]] = row["pattern_id"]
    now = {project: patterns_now(connection, project, asked) for project, asked in told.items()}
    for row in rows:
        row["pattern_id"] = now[row["project"]][row["event_id"]]


def _grades_of(project: str, event_ids: Sequence[str]) -> Select[Any]:
    columns = grade.c.event_id, grade.c.severity, grade.c.weight, grade.c.components
    return select(*columns).where(grade.c.project == project, grade.c.event_id.in_(event_ids))
