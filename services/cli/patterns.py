"""`patterns list` and `patterns show`."""

from capture.events import Fault
from services.cli.cases import EVERYTHING, TABLE_ROWS
from services.cli.known import check_beginning, check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_fields, print_json, print_table, times, when
from services.cli.problem import ExitCode, note, refuse
from services.reading import Member, PatternRow
from services.store.open import Store

_SHOWN_MEMBERS = 20


def list_patterns(
    *, project: str | None, fault: Fault | None, limit: int | None, as_json: bool
) -> None:
    """Print patterns, the most frequent first."""
    asked = limit or (EVERYTHING if as_json else TABLE_ROWS)
    rows, more = run(_list(project, fault, asked))
    if as_json:
        print_json([full(row) for row in rows])
        return
    if not rows:
        note("There are no patterns yet." if fault is None else f"No pattern has fault {fault}.")
        return
    columns = ["pattern", "seen", "fault", "first", "last", "project", "text"]
    cells = [
        [
            row.pattern_id,
            str(row.occurrences),
            row.fault,
            when(row.first_failed_at),
            when(row.last_failed_at),
            row.project,
            one_line(called(row.name, row.text)),
        ]
        for row in rows
    ]
    # the project first where it is the same everywhere, last where it tells patterns apart
    several = len({row.project for row in rows}) > 1
    optional = ["first", "last", "fault", "project"] if several else ["first", "project", "last"]
    print_table(
        columns, cells, flexible="text", optional=[*optional, *([] if several else ["fault"])]
    )
    if more:
        note(f"The {len(rows)} most frequent are shown; --limit shows more.")


def show_pattern(pattern_id: str, *, as_json: bool) -> None:
    """Print one pattern and its members."""
    check_beginning(pattern_id, "pattern")
    row, members = run(_one(pattern_id))
    if not row.pattern_id.startswith(pattern_id):
        note(f"{pattern_id} was merged: it is part of {row.pattern_id} now.")
    if as_json:
        print_json(full(row) | {"members": [full(member) for member in members]})
        return
    print_fields(
        [
            ("pattern", row.pattern_id),
            ("project", row.project),
            ("seen", times(row.occurrences)),
            ("fault", row.fault),
            *([("name", row.name)] if row.name else []),
            ("first", when(row.first_failed_at)),
            ("last", when(row.last_failed_at)),
            ("embedding", row.embedding_space),
            ("text", row.text),
        ]
    )
    print()
    print_members(members[-_SHOWN_MEMBERS:])
    if len(members) > _SHOWN_MEMBERS:
        note(
            f"The latest {_SHOWN_MEMBERS} of {len(members)} are shown; "
            f"`evalratchet patterns members --pattern {row.pattern_id}` shows all."
        )


def called(name: str | None, text: str) -> str:
    """A pattern's text as lists show it: behind the name, where a reviewer gave it one."""
    return text if name is None else f"{name}: {text}"


def print_members(members: list[Member]) -> None:
    """Print members as a table."""
    columns = ["trace", "pattern", "distance", "decided by", "failed", "project"]
    cells = [
        [
            one_line(member.trace_id, 128),
            member.pattern_id,
            f"{member.distance:.4f}",
            member.decided_by,
            when(member.failed_at),
            member.project,
        ]
        for member in members
    ]
    print_table(columns, cells, flexible="trace", optional=["project", "decided by", "failed"])


async def find_pattern(store: Store, pattern_id: str, project: str | None = None) -> PatternRow:
    """The one pattern whose id starts with this. Raises `Problem` when it is none, or several."""
    found = [
        row
        for row in await store.reader.pattern(pattern_id)
        if project is None or row.project == project
    ]
    if not found:
        refuse(
            f"There is no pattern whose id starts with {pattern_id!r}.",
            "See `evalratchet patterns list`.",
        )
    if len(found) > 1:
        refuse(
            f"{len(found)} patterns have ids that start with {pattern_id!r}. Give more of it.",
            "\n".join(f"{row.pattern_id}  {row.project}" for row in found[:20]),
            code=ExitCode.USAGE,
        )
    return found[0]


async def _list(
    project: str | None, fault: Fault | None, limit: int
) -> tuple[list[PatternRow], bool]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        rows = await store.reader.patterns(project=project, limit=limit + 1, fault=fault)
        return list(rows[:limit]), len(rows) > limit


async def _one(pattern_id: str) -> tuple[PatternRow, list[Member]]:
    async with opened_store(effective_settings()) as store:
        row = await find_pattern(store, pattern_id)
        members = await store.reader.members(
            project=row.project, pattern_id=row.pattern_id, limit=None
        )
        return row, list(members)
