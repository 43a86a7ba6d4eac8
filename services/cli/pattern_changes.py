"""`patterns merge`, `split`, `name`, `undo` and `history`."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from services.cli.cases import EVERYTHING, TABLE_ROWS
from services.cli.known import check_beginning, check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_json, print_table, times, when
from services.cli.patterns import find_pattern
from services.cli.problem import misused, note, refuse
from services.pattern_changes import NotPossible, PatternChange
from services.reading import Member
from services.store.open import Store

_SHOWN = 8  # ids in a table's cell


def merge_patterns(
    into: str,
    merged: Sequence[str],
    *,
    project: str | None,
    reason: str,
    by: str | None,
    as_json: bool,
) -> None:
    """Make patterns one and say so."""
    for pattern_id in (into, *merged):
        check_beginning(pattern_id, "pattern")
    change, seen = run(_merge(into, merged, project, by or getpass.getuser(), reason))
    if as_json:
        print_json(full(change))
        return
    gone = ", ".join(change.detail["merged"])
    are = "is" if len(change.detail["merged"]) == 1 else "are"
    print(f"{gone} {are} part of {change.detail['into']} now, which was seen {times(seen)}.")
    _say_undo(change)


def split_pattern(
    pattern_id: str,
    traces: Sequence[str],
    *,
    project: str | None,
    reason: str,
    by: str | None,
    as_json: bool,
) -> None:
    """Give failures a pattern of their own and say so."""
    check_beginning(pattern_id, "pattern")
    for trace in traces:
        check_beginning(trace, "trace")
    change, left = run(_split(pattern_id, traces, project, by or getpass.getuser(), reason))
    if as_json:
        print_json(full(change))
        return
    count = change.detail["count"]
    failures = "failure is" if count == 1 else "failures are"
    print(
        f"{count} {failures} pattern {change.detail['to']} now; {left} stay "
        f"{change.detail['from']}."
    )
    if count > len(traces):
        note("Failures with the same text as one that was named went along.")
    _say_undo(change)


def name_pattern(
    pattern_id: str,
    name: str | None,
    *,
    clear: bool,
    project: str | None,
    reason: str,
    by: str | None,
    as_json: bool,
) -> None:
    """Give a pattern a name, or take it away, and say so."""
    check_beginning(pattern_id, "pattern")
    if (name is None) != clear:
        misused(
            "Say the new name, or --clear to take the name away.",
            "For example: evalratchet patterns name 81c0 'lost parcels'",
        )
    change = run(_name(pattern_id, name, project, by or getpass.getuser(), reason))
    if as_json:
        print_json(full(change))
        return
    named, before = change.detail["name"], change.detail["before"]
    had = f", and no longer {one_line(before, 120)!r}" if named and before else ""
    if named:
        print(f"{change.detail['pattern']} is called {one_line(named, 120)!r} now{had}.")
    else:
        print(f"{change.detail['pattern']} is not called {one_line(before, 120)!r} any more.")
    _say_undo(change)


def undo_change(
    change_id: str, *, project: str | None, reason: str, by: str | None, as_json: bool
) -> None:
    """Take a change back and say so."""
    if not change_id.strip():
        misused("Say which change: its id.", "See `evalratchet patterns history`.")
    undone, undo = run(_undo(change_id, project, by or getpass.getuser(), reason))
    if as_json:
        print_json(full(undo))
        return
    print(
        f"The {undone.kind} {undone.change_id} of {when(undone.at)}, by {one_line(undone.by)}, is "
        f"undone: {', '.join(undo.detail['patterns'][:_SHOWN])} "
        f"{'are' if len(undo.detail['patterns']) > 1 else 'is'} as before."
    )


def show_history(*, project: str | None, limit: int | None, as_json: bool) -> None:
    """Print changes, the latest first."""
    asked = limit or (EVERYTHING if as_json else TABLE_ROWS)
    changes, more = run(_history(project, asked))
    if as_json:
        print_json([full(change) for change in changes])
        return
    if not changes:
        note("No pattern was merged, split or named yet.")
        return
    columns = ["change", "when", "by", "what", "undone by", "project", "reason"]
    rows = [
        [
            change.change_id,
            when(change.at),
            one_line(change.by, 40),
            _what(change),
            change.undone_by or "",
            change.project,
            one_line(change.reason),
        ]
        for change in changes
    ]
    print_table(columns, rows, flexible="reason", optional=["project", "undone by", "when", "by"])
    if more:
        note(f"The latest {len(changes)} are shown; --limit shows more.")


def _what(change: PatternChange) -> str:
    detail = change.detail
    if change.kind == "merge":
        merged = detail["merged"]
        more = f" and {len(merged) - 2} more" if len(merged) > 2 else ""  # noqa: PLR2004 - shown
        return f"merge {', '.join(merged[:2])}{more} into {detail['into']}"
    if change.kind == "split":
        return f"split {detail['count']} off {detail['from']} to {detail['to']}"
    if change.kind == "name":
        named = detail["name"]
        if named is None:
            return f"name of {detail['pattern']} taken away"
        return f"{detail['pattern']} called {one_line(named, 40)!r}"
    return f"undo of {detail['kind']} {detail['of']}"


def _say_undo(change: PatternChange) -> None:
    note(f"`evalratchet patterns undo {change.change_id}` takes it back.")


async def _merge(
    into: str, merged: Sequence[str], project: str | None, by: str, reason: str
) -> tuple[PatternChange, int]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        target = await find_pattern(store, into, project)
        others = [await find_pattern(store, one, target.project) for one in merged]
        try:
            change = await store.changes.merge(
                target.project,
                target.pattern_id,
                [other.pattern_id for other in others],
                by=by,
                reason=reason,
                at=datetime.now(UTC),
            )
        except NotPossible as error:
            refuse("These patterns cannot be merged.", str(error))
        (row,) = [
            row
            for row in await store.reader.pattern(target.pattern_id)
            if row.project == target.project
        ]
        return change, row.occurrences


async def _name(
    pattern_id: str, name: str | None, project: str | None, by: str, reason: str
) -> PatternChange:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        row = await find_pattern(store, pattern_id, project)
        try:
            return await store.changes.name(
                row.project, row.pattern_id, name, by=by, reason=reason, at=datetime.now(UTC)
            )
        except NotPossible as error:
            refuse("This pattern cannot be named so.", str(error))


async def _split(
    pattern_id: str, traces: Sequence[str], project: str | None, by: str, reason: str
) -> tuple[PatternChange, int]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        row = await find_pattern(store, pattern_id, project)
        members = await store.reader.members(
            project=row.project, pattern_id=row.pattern_id, limit=None
        )
        events = [event for trace in traces for event in _events(members, trace, row.pattern_id)]
        try:
            change = await store.changes.split(
                row.project, row.pattern_id, events, by=by, reason=reason, at=datetime.now(UTC)
            )
        except NotPossible as error:
            refuse("These failures cannot be split off.", str(error))
        return change, len(members) - change.detail["count"]


def _events(members: Sequence[Member], trace: str, pattern_id: str) -> list[str]:
    """The failures of the one trace of a pattern whose id starts so. Raises `Problem`."""
    found = [one for one in members if one.trace_id.startswith(trace)]
    exact = [one for one in found if one.trace_id == trace]
    named = sorted({one.trace_id for one in exact or found})
    if not named:
        refuse(
            f"Pattern {pattern_id} has no failure of a trace whose id starts with {trace!r}.",
            f"See `evalratchet patterns members --pattern {pattern_id}`.",
        )
    if len(named) > 1:
        misused(
            f"{len(named)} traces of pattern {pattern_id} start with {trace!r}. Give more of it.",
            "\n".join(named[:20]),
        )
    return [one.event_id for one in exact or found]


async def _undo(
    change_id: str, project: str | None, by: str, reason: str
) -> tuple[PatternChange, PatternChange]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        change = await _find_change(store, change_id, project)
        try:
            undo = await store.changes.undo(
                change.project, change.change_id, by=by, reason=reason, at=datetime.now(UTC)
            )
        except NotPossible as error:
            refuse("This change cannot be undone.", str(error))
        return change, undo


async def _find_change(store: Store, change_id: str, project: str | None) -> PatternChange:
    """The one change whose id starts with this. Raises `Problem`."""
    every = await store.changes.history(project, limit=EVERYTHING)
    found = [one for one in every if one.change_id.startswith(change_id)]
    if not found:
        refuse(
            f"There is no change whose id starts with {change_id!r}.",
            "See `evalratchet patterns history`.",
        )
    if len(found) > 1:
        misused(
            f"{len(found)} changes have ids that start with {change_id!r}. Give more of it.",
            "\n".join(f"{one.change_id}  {one.project}" for one in found[:20]),
        )
    return found[0]


async def _history(project: str | None, limit: int) -> tuple[list[PatternChange], bool]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        changes = await store.changes.history(project, limit=limit + 1)
        return list(changes[:limit]), len(changes) > limit
