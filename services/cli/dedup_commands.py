"""`dedup`: when two failures are the same failure."""
# ruff: noqa: PLC0415 - see app.py

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.dedup_grey_commands import grey
from services.cli.teaching import command

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
OneProjectOption = Annotated[
    str | None, typer.Option("--project", help="The project; needed where there are several.")
]
ReasonOption = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]
ByOption = Annotated[str | None, typer.Option(help="Who. Default: the system's user name.")]

dedup = typer.Typer(
    no_args_is_help=True,
    help="When two failures are the same failure: the distance, and what it does.",
)
dedup.add_typer(grey, name="grey")


@command(
    dedup,
    "evalratchet dedup explain 4bf92f3577b34da6a3ce929d0e0e4736",
    "evalratchet dedup explain 00f067aa0ba902b7 --project support --json",
    name="explain",
)
def explain(
    trace_id: Annotated[
        str, typer.Argument(metavar="TRACE", help="A trace's id, or the id of a span in it.")
    ],
    project: Annotated[str | None, typer.Option(help="The trace's project.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is compared of a failure, and why it belongs to its pattern.

    The text part by part with what each limit left out, its masked form, guard and fingerprint; the
    decision that is stored; and the five nearest patterns and its own, with the distance in force. The
    trace is read from the archive and scored with the policy in force.
    """
    from services.cli.dedup_explain import explain as run

    run(trace_id, project=project, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup distance --project support",
    'evalratchet dedup distance 0.48 --reason "refunds and returns were one pattern"',
    name="distance",
)
def show_or_set_distance(
    value: Annotated[
        float | None,
        typer.Argument(metavar="DISTANCE", help="The new distance. Without it: show what is."),
    ] = None,
    project: OneProjectOption = None,
    reason: ReasonOption = "",
    by: ByOption = None,
    reassign: Annotated[
        bool,
        typer.Option(
            "--reassign",
            help="Also merge and split the patterns that are stored. Undone by `patterns undo`.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show or change the dedup distance: failures nearer than this are the same pattern.

    Without a value: the distance, who set it and why, every change of it, and where it is now if it
    follows coverage. A new value is in force within two seconds and only for what is decided from
    then on. Look at `what-if` first.
    """
    from services.cli.dedup_distance import Signed, set_distance, show_distance

    if value is not None:
        signed = Signed(by=by, reason=reason)
        set_distance(project, value, signed, reassign=reassign, as_json=as_json)
        return
    if reassign or reason or by:
        from services.cli.problem import misused

        misused(
            "Say the new distance.",
            'For example: evalratchet dedup distance 0.48 --reason "..." --reassign',
        )
    show_distance(project, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup what-if --distance 0.48 --since 30d",
    "evalratchet dedup what-if --distance 0.48 --plot knob.png",
    name="what-if",
)
def show_what_if(
    distance: Annotated[float, typer.Option(help="The distance to try.")],
    project: OneProjectOption = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only failures since: 24h, 30d, 8w. Default: all."),
    ] = None,
    examples: Annotated[
        int, typer.Option(min=0, metavar="N", help="So many merges and so many splits.")
    ] = 5,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw the curves: a .png or .svg file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what another distance would do to the project's own history. Nothing is changed.

    The stored failures are decided again, in their order and by the same rules: how many patterns
    there would be, which would become one and which would come apart, with examples; and bloat and
    coverage over the whole range of distances.
    """
    from services.cli.dedup_what_if import show_what_if as run

    run(project, distance, since=since, examples=examples, plot=plot, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup coverage --project support",
    "evalratchet dedup coverage --plot discovery.svg",
    name="coverage",
)
def coverage(
    project: OneProjectOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw the curve: a .png or .svg file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how much of what goes wrong is known, and how it came to be.

    Patterns seen once, the share of failures to come that belong to a known pattern, how many patterns
    there are at least, for the project and each of its modes; and the discovery curve: patterns known
    after so many failures, with its forecast for as many again.
    """
    from services.cli.dedup_coverage import show_coverage as run

    run(project, plot=plot, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup adaptive simulate --wide 0.6",
    'evalratchet dedup adaptive on --wide 0.6 --yes --reason "a new suite"',
    name="adaptive",
)
def adaptive(
    what: Annotated[Literal["on", "off", "simulate"], typer.Argument(help="What to do.")],
    project: OneProjectOption = None,
    wide: Annotated[
        float | None,
        typer.Option(
            help="The distance while nothing is known. Default: 0.1 more than the distance."
        ),
    ] = None,
    reason: ReasonOption = "",
    by: ByOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Switch it on without asking, after the simulation.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let the distance follow coverage: wide while the suite is small, then down to `distance`.

    Off by default. `simulate` decides the stored history again that way and shows how it would have
    gone; `on` shows the same before it asks.
    """
    from services.cli.dedup_adaptive import adaptive as run
    from services.cli.dedup_distance import Signed

    signed = Signed(by=by, reason=reason)
    run(what, project, wide=wide, signed=signed, yes=yes, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup space",
    "evalratchet dedup space --project support --json",
    name="space",
)
def show_space(
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which embedding space serves each project, since when, and what the settings would serve.

    A space is an encoder (model, revision, backend) and a way to write the failure text. Vectors of
    two spaces are never compared, so another model or another text policy changes nothing by itself:
    see `reembed`.
    """
    from services.cli.dedup_space import show_space as run

    run(project=project, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup reembed --dry-run",
    "evalratchet dedup reembed --project support",
    'evalratchet dedup reembed --project support --switch --reason "the compiled model"',
    "evalratchet dedup reembed --project support --back",
    name="reembed",
)
def reembed(
    project: Annotated[
        str | None,
        typer.Option(help="The project. Default: all that another space is configured for."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be embedded. Nothing is kept.")
    ] = False,
    switch: Annotated[
        bool, typer.Option("--switch", help="Then have it serve, in one step.")
    ] = False,
    back: Annotated[
        bool,
        typer.Option("--back", help="Switch to the space that served before, brought up to date."),
    ] = False,
    reason: ReasonOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prepare the configured encoder's and text policy's space beside the one that serves.

    Runs while everything else runs, and can be interrupted and started again. Every stored text is
    embedded, patterns keep their ids, and it is shown which of them would merge and which would lose
    members there at the dedup distance. Nothing changes for new failures until --switch.
    """
    from services.cli.dedup_reembed import Wish
    from services.cli.dedup_reembed import reembed as run

    wish = Wish(dry_run=dry_run, switch=switch, back=back, by=by, reason=reason)
    run(project, wish, as_json=as_json)
