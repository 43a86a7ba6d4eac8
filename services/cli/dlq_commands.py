"""`dlq`: what stages could not handle, and how to hand it to them again."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated

import typer

from services.cli.teaching import command
from services.stream.topics import Stage

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

dlq = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: events that a stage could not handle, kept with their reason.",
)


@command(dlq, "evalratchet dlq list", "evalratchet dlq list scorer --json", name="list")
def list_letters(
    stage: Annotated[Stage | None, typer.Argument(help="Only this stage's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many of each stage.")] = 50,
    replayed: Annotated[
        bool, typer.Option("--replayed", help="Those that were replayed as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first. Those that were replayed are left out."""
    from services.cli.dlq import list_letters as run

    run(stage=stage, limit=limit, replayed=replayed, as_json=as_json)


@command(dlq, "evalratchet dlq show scorer:0:17", name="show")
def show_letter(
    place: Annotated[
        str, typer.Argument(metavar="ID", help="STAGE:PARTITION:OFFSET, from the list.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: why it is here, where it came from, its headers and its body."""
    from services.cli.dlq import show_letter as run

    run(place, as_json=as_json)


@command(
    dlq,
    "evalratchet dlq replay scorer:0:17",
    "evalratchet dlq replay --all --stage scorer --dry-run",
    name="replay",
)
def replay_letters(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="STAGE:PARTITION:OFFSET, from the list."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that were not replayed yet.")
    ] = False,
    stage: Annotated[Stage | None, typer.Option(help="With --all: only this stage's.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were replayed before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Put dead letters back, byte for byte, into the topics they came from.

    Mend the cause first. Replaying twice is harmless: what was decided before is decided the same.
    """
    from services.cli.replay import replay_letters as run

    run(places or [], everything=everything, stage=stage, again=again, dry_run=dry_run)
