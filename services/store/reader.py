"""What people and CI jobs ask: each answer is one statement, so that it is of one moment."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Row,
    Select,
    Subquery,
    Table,
    and_,
    false,
    func,
    select,
    true,
    union_all,
)

from capture.events import FAULTS, Fault
from promote.case import CaseSet
from services.reading import KeptCase, Member, PatternRow, Totals
from services.store.database import Database
from services.store.medoids import shown_text
from services.store.tables import eval_case, occurrence, pattern, project, trace

_LAST_CHARACTER = "\U0010ffff"


class StoreReader:
    """`services.reading.Reader`."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def totals(self, project: str | None = None) -> Totals:
        """Counts, of one project or of all. Raises `Unavailable`."""
        sets = get_args(CaseSet)
        parts = [
            _counted(
                trace,
                project,
                pieces=func.coalesce(func.sum(trace.c.pieces), 0),
                traces=func.count(),
                traces_waiting=func.count().filter(trace.c.due_ms < trace.c.until_ms),
                traces_incomplete=func.count().filter(trace.c.due_ms == trace.c.until_ms),
                failures=func.count().filter(trace.c.state == "failed"),
            ),
            _counted(
                pattern,
                project,
                patterns=func.count().filter(pattern.c.root == pattern.c.pattern_id),
            ),
            _counted(
                occurrence,
                project,
                occurrences=func.count(),
                **{f"of_{f}": func.count().filter(occurrence.c.fault == f) for f in FAULTS},
            ),
            _counted(
                eval_case,
                project,
                cases=func.count().filter(_counts),
                **{
                    f"set_{name}": func.count().filter(_counts & (eval_case.c.set == name))
                    for name in sets
                },
            ),
        ]
        beside: FromClause = parts[0]
        for part in parts[1:]:
            beside = beside.join(part, true())
        (row,) = await self._rows(select(*parts).select_from(beside))
        counts = {name: int(count) for name, count in row._mapping.items()}  # noqa: SLF001 - SQLAlchemy's public name
        by_set = {name: counts.pop(f"set_{name}") for name in sets}
        by_fault: dict[str, int] = {name: counts.pop(f"of_{name}") for name in FAULTS}
        return Totals(**counts, cases_by_set=by_set, failures_by_fault=by_fault)

    async def projects(self) -> Sequence[str]:
        """Every project that sent anything, in alphabetical order. Raises `Unavailable`."""
        rows = await self._rows(select(project.c.project).order_by(project.c.project))
        return [row.project for row in rows]

    async def cases(
        self, *, project: str | None, case_set: CaseSet | None, limit: int
    ) -> Sequence[KeptCase]:
        """Cases, the heaviest first, ties by newest first. Raises `Unavailable`."""
        wanted = [_of(eval_case, project), _counts]
        if case_set is not None:
            wanted.append(eval_case.c.set == case_set)
        order = eval_case.c.weight.desc(), eval_case.c.created_at.desc(), eval_case.c.case_id
        return await self._kept_cases(_cases.where(*wanted).order_by(*order).limit(limit))

    async def case(self, case_id: str) -> Sequence[KeptCase]:
        """Cases whose id starts with this, in any project, superseded ones too. Raises `Unavailable`."""
        starts = starts_with(eval_case.c.case_id, case_id)
        order = eval_case.c.case_id, eval_case.c.project
        return await self._kept_cases(_cases.where(starts).order_by(*order))

    async def patterns(
        self, *, project: str | None, limit: int, fault: Fault | None = None
    ) -> Sequence[PatternRow]:
        """Patterns, the most frequent first, ties by latest first. Raises `Unavailable`."""
        wanted = [_of(pattern, project), pattern.c.root == pattern.c.pattern_id]
        if fault is not None:
            wanted.append(pattern.c.fault == fault)
        order = (
            pattern.c.occurrences.desc(),
            pattern.c.last_failed_at.desc(),
            pattern.c.pattern_id,
        )
        rows = await self._rows(_patterns.where(*wanted).order_by(*order).limit(limit))
        return [PatternRow(**row._mapping) for row in rows]  # noqa: SLF001 - as above

    async def pattern(self, pattern_id: str) -> Sequence[PatternRow]:
        """What patterns whose id starts with this are part of now. Raises `Unavailable`."""
        named = (
            select(pattern.c.project, pattern.c.root)
            .where(starts_with(pattern.c.pattern_id, pattern_id))
            .distinct()
            .subquery()
        )
        root = and_(pattern.c.project == named.c.project, pattern.c.pattern_id == named.c.root)
        order = pattern.c.pattern_id, pattern.c.project
        rows = await self._rows(_patterns.join(named, root).order_by(*order))
        return [PatternRow(**row._mapping) for row in rows]  # noqa: SLF001 - as above

    async def members(
        self, *, project: str | None, pattern_id: str | None, limit: int | None
    ) -> Sequence[Member]:
        """Occurrences in the order they were decided. Raises `Unavailable`."""
        wanted, order = [_of(occurrence, project)], occurrence.c.seq.expression
        if pattern_id is not None:
            order = occurrence.c.seq + 0  # or SQLite looks at the whole project in its order
            wanted.append(occurrence.c.pattern_id.in_(_same_pattern(project, pattern_id)))
        rows = await self._rows(_members.where(*wanted).order_by(order).limit(limit))
        return [Member(**row._mapping) for row in rows]  # noqa: SLF001 - as above

    async def _kept_cases(self, query: Select[Any]) -> list[KeptCase]:
        rows = await self._rows(query)
        return [
            KeptCase(
                case=row.body
                if row.root == row.body.pattern_id
                else msgspec.structs.replace(row.body, pattern_id=row.root),
                occurrences=row.occurrences,
                last_failed_at=row.at,
                superseded_by=row.superseded_by,
            )
            for row in rows
        ]

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())


_counts = eval_case.c.superseded_by.is_(None)
_cases = select(
    eval_case.c.body,
    eval_case.c.occurrences,
    eval_case.c.last_failed_at.label("at"),
    eval_case.c.superseded_by,
    func.coalesce(pattern.c.root, eval_case.c.pattern_id).label("root"),
).select_from(
    eval_case.outerjoin(
        pattern,
        and_(
            pattern.c.project == eval_case.c.project,
            pattern.c.pattern_id == eval_case.c.pattern_id,
        ),
    )
)
_patterns = select(
    pattern.c.project,
    pattern.c.pattern_id,
    shown_text(pattern).label("text"),
    pattern.c.occurrences,
    pattern.c.first_failed_at,
    pattern.c.last_failed_at,
    pattern.c.space.label("embedding_space"),
    pattern.c.fault,
    pattern.c.name,
)
_members = select(
    occurrence.c.project,
    occurrence.c.event_id,
    occurrence.c.trace_id,
    pattern.c.root.label("pattern_id"),
    occurrence.c.distance,
    occurrence.c.decided_by,
    occurrence.c.failed_at,
).select_from(
    occurrence.join(
        pattern,
        and_(
            pattern.c.project == occurrence.c.project,
            pattern.c.pattern_id == occurrence.c.pattern_id,
        ),
    )
)


def _same_pattern(project: str | None, pattern_id: str) -> CompoundSelect[tuple[str]]:
    """Every id that means what this one means: ids are made of the project, no two have the same."""
    named = pattern.alias("named")
    asked = and_(_of(named, project), named.c.pattern_id == pattern_id)
    part = and_(pattern.c.project == named.c.project, pattern.c.root == named.c.root)
    merged = select(pattern.c.pattern_id).join(named, part)
    return union_all(
        select(named.c.root).where(asked),
        merged.where(asked, pattern.c.root != pattern.c.pattern_id),
    )


def _of(table: FromClause, project: str | None) -> ColumnElement[bool]:
    return true() if project is None else table.c.project == project


def _counted(table: Table, project: str | None, **counts: ColumnElement[Any]) -> Subquery:
    """One row of counts, from one pass over a table."""
    columns = [count.label(name) for name, count in counts.items()]
    return select(*columns).select_from(table).where(_of(table, project)).subquery()


def starts_with(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """A range, which an index serves; ids are compared byte by byte on both databases."""
    if not prefix.isprintable():  # no id starts like this, and PostgreSQL takes no NUL
        return false()
    return and_(column >= prefix, column <= prefix + _LAST_CHARACTER)
