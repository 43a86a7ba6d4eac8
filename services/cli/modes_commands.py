"""`modes`: the ways in which a project's failures fail."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated, Literal

import typer

from services.cli.reading_commands import patterns
from services.cli.teaching import command

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ProjectOption = Annotated[str | None, typer.Option(help="Only this project.")]

modes = typer.Typer(no_args_is_help=True, help="Modes: ways of failing, groups of like patterns.")


@command(
    modes, "evalratchet modes list", "evalratchet modes list --project support --json", name="list"
)
def list_modes(
    project: ProjectOption = None,
    gone: Annotated[bool, typer.Option("--gone", help="Also modes that are no more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List modes, the largest first.

    A mode keeps its id from one refit to the next while it keeps its patterns.
    """
    from services.cli.modes import list_modes as run

    run(project=project, gone=gone, as_json=as_json)


@command(modes, "evalratchet modes show 3f9a", name="show")
def show_mode(
    mode_id: Annotated[str, typer.Argument(help="The mode's id, or enough of its beginning.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many patterns. Default: 20; all in JSON.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one mode: its terms, where it came from, and its patterns, the most typical first."""
    from services.cli.modes import show_mode as run

    run(mode_id, limit=limit, as_json=as_json)


@command(
    modes, "evalratchet modes refit", "evalratchet modes refit --project support", name="refit"
)
def refit_modes(
    project: Annotated[
        str | None, typer.Option("--project", help="The project; needed where there are several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for modes now, instead of when the project has grown by a quarter.

    It also proposes which patterns to merge; see `patterns proposals`.
    """
    from services.cli.modes import refit_modes as run

    run(project, as_json=as_json)


@command(
    patterns,
    "evalratchet patterns proposals --project support",
    "evalratchet patterns proposals --accept 5d02 --reason 'both are the lost parcel'",
    name="proposals",
)
def pattern_proposals(
    project: ProjectOption = None,
    accept: Annotated[
        str | None, typer.Option(metavar="ID", help="Merge the patterns of this proposal.")
    ] = None,
    reject: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Leave them apart; the same is never proposed again."),
    ] = None,
    state: Annotated[
        Literal["open", "accepted", "rejected", "all"], typer.Option(help="Which to list.")
    ] = "open",
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the history.")] = "",
    by: Annotated[str | None, typer.Option(help="Who. Default: the system's user name.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List patterns that look like one, with the evidence; accept or reject a proposal.

    Proposals come from the modes' refit: patterns of one mode, with the same tools and faults, whose
    places have come nearer than the dedup distance. Nothing is merged unless somebody accepts, or
    the policy has `dedup.merge_proposals` set to `carry_out`.
    """
    from services.cli.proposals import contradicting, decide_proposal, list_proposals

    if accept is not None and reject is not None:
        contradicting()
    elif accept is not None:
        decide_proposal(accept, "accepted", by=by, reason=reason, as_json=as_json)
    elif reject is not None:
        decide_proposal(reject, "rejected", by=by, reason=reason, as_json=as_json)
    else:
        wanted = None if state == "all" else state
        list_proposals(project=project, state=wanted, as_json=as_json)
