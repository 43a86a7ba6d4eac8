"""`patterns`: the commands that change them."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated

import typer

from services.cli.reading_commands import JsonOption
from services.cli.reading_commands import patterns as patterns  # noqa: PLC0414 - with them, for `groups`
from services.cli.teaching import command

ReasonOption = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]
ByOption = Annotated[str | None, typer.Option(help="Who. Default: the system's user name.")]
OnlyProjectOption = Annotated[
    str | None, typer.Option("--project", help="The project, where several have such an id.")
]


@command(
    patterns,
    "evalratchet patterns merge 81c0 4f2e --reason 'both are the lost parcel'",
    name="merge",
)
def merge_patterns(
    into: Annotated[
        str, typer.Argument(help="The pattern that stays: its id, or enough of its beginning.")
    ],
    merged: Annotated[
        list[str], typer.Argument(metavar="ID...", help="The patterns that become part of it.")
    ],
    reason: ReasonOption = "",
    by: ByOption = None,
    project: OnlyProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make several patterns one.

    Counts, cases and history follow, and the ids of the others go on meaning this one. Where both
    have a case, that of the pattern that stays counts; the other is kept. `patterns undo` takes it
    back.
    """
    from services.cli.pattern_changes import merge_patterns as run

    run(into, merged, project=project, reason=reason, by=by, as_json=as_json)


@command(
    patterns,
    "evalratchet patterns split 81c0 --trace 7be1 --trace 90aa --reason 'these are refunds'",
    name="split",
)
def split_pattern(
    pattern_id: Annotated[
        str, typer.Argument(help="The pattern's id, or enough of its beginning.")
    ],
    traces: Annotated[
        list[str],
        typer.Option(
            "--trace",
            help="A failure that is another one: its trace id, or enough of its beginning. "
            "Repeatable.",
        ),
    ],
    reason: ReasonOption = "",
    by: ByOption = None,
    project: OnlyProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give some failures of a pattern a pattern of their own.

    Every failure with the same text as one that is named goes along, and so do cases that were made
    of them. `patterns undo` takes it back.
    """
    from services.cli.pattern_changes import split_pattern as run

    run(pattern_id, traces, project=project, reason=reason, by=by, as_json=as_json)


@command(
    patterns,
    "evalratchet patterns name 81c0 'lost parcels'",
    "evalratchet patterns name 81c0 --clear",
    name="name",
)
def name_pattern(
    pattern_id: Annotated[
        str, typer.Argument(help="The pattern's id, or enough of its beginning.")
    ],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to call it, in one line.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take its name away.")] = False,
    reason: ReasonOption = "",
    by: ByOption = None,
    project: OnlyProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a pattern a name, which is shown before its text wherever patterns are listed.

    A pattern without a name that is merged with one that has one gets that. `patterns undo` takes it
    back.
    """
    from services.cli.pattern_changes import name_pattern as run

    run(pattern_id, name, clear=clear, project=project, reason=reason, by=by, as_json=as_json)


@command(patterns, "evalratchet patterns undo 5d1c --reason 'they do differ'", name="undo")
def undo_change(
    change_id: Annotated[
        str, typer.Argument(help="The change's id, or enough of its beginning; see `history`.")
    ],
    reason: ReasonOption = "",
    by: ByOption = None,
    project: OnlyProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a merge, a split or a name back.

    What failed since goes where its text belongs. A change that later ones build on is undone after
    them.
    """
    from services.cli.pattern_changes import undo_change as run

    run(change_id, project=project, reason=reason, by=by, as_json=as_json)


@command(patterns, "evalratchet patterns history --project support", name="history")
def show_history(
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many. Default: 50 in a table, all of them in JSON."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List merges, splits, names and what was undone, the latest first."""
    from services.cli.pattern_changes import show_history as run

    run(project=project, limit=limit, as_json=as_json)
