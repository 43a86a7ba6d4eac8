"""`cases` and `patterns`: the commands that only look."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated, Literal

import typer

from services.cli.teaching import command

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ProjectOption = Annotated[str | None, typer.Option(help="Only this project.")]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many. Default: 50 in a table, all of them in JSON."),
]

cases = typer.Typer(no_args_is_help=True, help="Eval cases: one for each pattern of failures.")
patterns = typer.Typer(no_args_is_help=True, help="Patterns: groups of failures that are the same.")


@command(
    cases, "evalratchet cases list", "evalratchet cases list --set monitoring --json", name="list"
)
def list_cases(
    project: ProjectOption = None,
    case_set: Annotated[
        Literal["blocking", "monitoring", "backlog"] | None,
        typer.Option("--set", help="Only this set."),
    ] = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List cases, the heaviest first."""
    from services.cli.cases import list_cases as run

    run(project=project, case_set=case_set, limit=limit, as_json=as_json)


@command(cases, "evalratchet cases show 3f9a", "evalratchet cases show 3f9a --json", name="show")
def show_case(
    case_id: Annotated[str, typer.Argument(help="The case's id, or enough of its beginning.")],
    as_json: JsonOption = False,
) -> None:
    """Show one case: input, failing output, why it failed, what it weighs, where it comes from."""
    from services.cli.cases import show_case as run

    run(case_id, as_json=as_json)


@command(
    patterns,
    "evalratchet patterns list --project support",
    "evalratchet patterns list --fault infrastructure",
    name="list",
)
def list_patterns(
    project: ProjectOption = None,
    fault: Annotated[
        Literal["model", "infrastructure", "input", "unknown"] | None,
        typer.Option(help="Only patterns of this fault: whose failure they are."),
    ] = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List patterns, the most frequent first.

    A pattern's fault is its first failure's. Failures of the infrastructure are counted here and
    make no case.
    """
    from services.cli.patterns import list_patterns as run

    run(project=project, fault=fault, limit=limit, as_json=as_json)


@command(patterns, "evalratchet patterns show 81c0", name="show")
def show_pattern(
    pattern_id: Annotated[
        str, typer.Argument(help="The pattern's id, or enough of its beginning.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show one pattern: its representative's text and its latest failures."""
    from services.cli.patterns import show_pattern as run

    run(pattern_id, as_json=as_json)


@command(
    patterns,
    "evalratchet patterns members support --format csv > groups.csv",
    "evalratchet patterns members --pattern 81c0",
    name="members",
)
def list_members(
    project: Annotated[
        str | None, typer.Argument(help="The project; without one, every project.")
    ] = None,
    project_option: Annotated[
        str | None, typer.Option("--project", help="The same as an option.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Only this pattern: its id, or enough of its beginning.")
    ] = None,
    form: Annotated[
        Literal["table", "csv", "json"],
        typer.Option("--format", help="csv begins with trace_id,pattern_id,distance."),
    ] = "table",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> None:
    """List every failure with its pattern and its distance to it, in the order they were decided.

    This is all one needs to measure the grouping on one's own data.
    """
    from services.cli.members import list_members as run

    run(project=project, project_option=project_option, pattern=pattern, form=form, limit=limit)
