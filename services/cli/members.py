"""`patterns members`: every failure with its pattern, for people and for measuring."""

import csv
import sys
from collections.abc import Sequence
from typing import Literal

from services.cli.known import check_beginning, check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, print_json
from services.cli.patterns import find_pattern, print_members
from services.cli.problem import ExitCode, note, refuse
from services.reading import Member


def list_members(
    *,
    project: str | None,
    project_option: str | None,
    pattern: str | None,
    form: Literal["table", "csv", "json"],
    limit: int | None,
) -> None:
    """Print the members of all patterns, of one project's, or of one pattern."""
    if project is not None and project_option not in {None, project}:
        refuse(
            "Two different projects are named.",
            f"{project} and {project_option}",
            code=ExitCode.USAGE,
        )
    if pattern is not None:
        check_beginning(pattern, "pattern")
    members = run(_members(project or project_option, pattern, limit))
    if form == "csv":
        _write_csv(members)
    elif form == "json":
        print_json([full(member) for member in members])
    elif members:
        print_members(list(members))
    else:
        note("There are no failures yet.")


async def _members(project: str | None, pattern: str | None, limit: int | None) -> Sequence[Member]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        if pattern is not None:
            row = await find_pattern(store, pattern, project)
            project, pattern = row.project, row.pattern_id
        return await store.reader.members(project=project, pattern_id=pattern, limit=limit)


def _write_csv(members: Sequence[Member]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["trace_id", "pattern_id", "distance", "project", "decided_by", "failed_at"])
    out.writerows(
        [
            member.trace_id,
            member.pattern_id,
            f"{member.distance:.6f}",
            member.project,
            member.decided_by,
            member.failed_at.isoformat(),
        ]
        for member in members
    )
