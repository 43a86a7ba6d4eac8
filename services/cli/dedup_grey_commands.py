"""`dedup grey`: doubtful decisions."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated

import typer

from services.cli.teaching import command

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ProjectOption = Annotated[str | None, typer.Option(help="Only this project.")]
EventArgument = Annotated[
    str, typer.Argument(metavar="EVENT", help="The event's id, or enough of its beginning.")
]
ByOption = Annotated[str | None, typer.Option(help="Who. Default: the system's user name.")]

grey = typer.Typer(
    no_args_is_help=True,
    help="Doubtful decisions: failures just near enough to be counted to their pattern.",
)


@command(
    grey,
    "evalratchet dedup grey list",
    "evalratchet dedup grey list --project support --json",
    name="list",
)
def list_grey(
    project: ProjectOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many. Default: 20 in a table, all of them in JSON."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List doubtful decisions that nobody has reviewed, the nearest first, with both texts.

    How doubtful a decision must be is `dedup.grey_band` of the project's policy.
    """
    from services.cli.dedup_grey import list_grey as run

    run(project=project, limit=limit, as_json=as_json)


@command(grey, "evalratchet dedup grey same 4f281158", name="same")
def same(
    event_id: EventArgument,
    project: ProjectOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a failure is what its pattern is: it stays. The answer also counts for `calibrate`."""
    from services.cli.dedup_grey import decide_grey

    decide_grey(event_id, "same", project=project, reason="", by=by, as_json=as_json)


@command(
    grey,
    'evalratchet dedup grey different 4f281158 --reason "asks for a refund, not for the status"',
    name="different",
)
def different(
    event_id: EventArgument,
    project: ProjectOption = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the history.")] = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a failure is another one: it gets a pattern of its own, with all that have its text.

    The split is in `patterns history` and can be undone there. The answer also counts for `calibrate`.
    """
    from services.cli.dedup_grey import decide_grey

    decide_grey(event_id, "different", project=project, reason=reason, by=by, as_json=as_json)
