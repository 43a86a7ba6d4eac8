"""`traces`: the commands that look into the archive."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated, Literal

import typer

from services.cli.teaching import command

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ProjectOption = Annotated[str | None, typer.Option(help="Only this project.")]

traces = typer.Typer(
    no_args_is_help=True, help="Archived traces: what came, and what was found of it."
)


@command(
    traces,
    "evalratchet traces list --state left_out",
    "evalratchet traces list --project support --limit 200 --json",
    name="list",
)
def list_traces(
    project: ProjectOption = None,
    state: Annotated[
        Literal["waiting", "passed", "failed", "left_out"] | None,
        typer.Option(help="Only traces of which this was found."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List archived traces, those that got something last first."""
    from services.cli.traces import list_traces as run

    run(project=project, state=state, limit=limit, as_json=as_json)


@command(
    traces,
    "evalratchet traces show 4bf92f3577b34da6a3ce929d0e0e4736",
    "evalratchet traces show 00f067aa0ba902b7 --json",
    name="show",
)
def show_trace(
    trace_id: Annotated[str, typer.Argument(help="A trace's id, or the id of a span in it.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one trace: what came of it and when, what was found, and until when it is kept.

    With --json also the trace as it was put together from all that came.
    """
    from services.cli.traces import show_trace as run

    run(trace_id, project=project, as_json=as_json)
