"""`policy`: what a project decides for itself."""
# ruff: noqa: PLC0415 - see app.py

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.teaching import command

ProjectArgument = Annotated[str, typer.Argument(help="The project.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Change = "The change"
Redaction = "What is redacted"
Signature = "Its signature"

policy = typer.Typer(
    no_args_is_help=True,
    help="A project's policy: which traces fail, what is a duplicate, what becomes a case.",
)


@command(policy, "evalratchet policy show support --json > policy.json", name="show")
def show_policy(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """Show the policy in force. A project that never set one has the defaults, version 0."""
    from services.cli.policy import show_policy as run

    run(project, as_json=as_json)


@command(
    policy,
    "evalratchet policy test support traces.jsonl",
    "evalratchet policy test support traces.jsonl --file proposed.json",
    name="test",
)
def test_policy(
    project: ProjectArgument,
    traces: Annotated[
        str,
        typer.Argument(
            metavar="FILE.jsonl", help="Traces, as `send` takes them; - is standard input."
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Test this policy (JSON or TOML) instead."),
    ] = None,
    without_remote: Annotated[
        bool,
        typer.Option("--local-only", help="Leave out judges and scorers in Python."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which traces of a file would fail, by which scorer, and why. Nothing is sent or changed.

    Whatever project the file names, the traces are tested as traces of this one.
    """
    from services.cli.policy_test import test_policy as run

    run(project, traces, policy_file=file, without_remote=without_remote, as_json=as_json)


@command(policy, "evalratchet policy history support", name="history")
def show_history(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """Show every change: who, when, why, before and after."""
    from services.cli.policy import show_history as run

    run(project, as_json=as_json)


@command(
    policy,
    "evalratchet policy set rag --score faithfulness=3 --reason 'raters: 3 is the bound'",
    "evalratchet policy set support --latency-ms 8000 --feedback-below 3",
    "evalratchet policy set support --file policy.json --dry-run",
    name="set",
)
def set_policy(  # noqa: PLR0917 - typer passes them by name
    project: ProjectArgument,
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=BOUND",
            help="A trace whose signal NAME is below BOUND fails. Repeatable.",
            rich_help_panel=Change,
        ),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(help="A trace that took longer fails.", rich_help_panel=Change),
    ] = None,
    feedback_below: Annotated[
        float | None,
        typer.Option(help="A user's rating below this fails.", rich_help_panel=Change),
    ] = None,
    json_schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An output that breaks this JSON Schema fails.",
            rich_help_panel=Change,
        ),
    ] = None,
    severity: Annotated[
        Literal["low", "medium", "high", "critical"] | None,
        typer.Option(
            help="How severe failures of the scorers named above are.", rich_help_panel=Change
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCORER",
            help="Take out error, latency, feedback, json_schema, or score:NAME. Repeatable.",
            rich_help_panel=Change,
        ),
    ] = None,
    redact: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Redact this kind: email, phone, card, ..., or all. Repeatable.",
            rich_help_panel=Redaction,
        ),
    ] = None,
    no_redact: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Leave this kind, or all, as it is. Repeatable.",
            rich_help_panel=Redaction,
        ),
    ] = None,
    redact_pattern: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=REGEX",
            help="Redact what fits this RE2 pattern, as kind NAME; NAME= takes it out. Repeatable.",
            rich_help_panel=Redaction,
        ),
    ] = None,
    redact_path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Hide what this JSON path names, whole; -PATH takes it out. Repeatable.",
            rich_help_panel=Redaction,
        ),
    ] = None,
    redact_allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE",
            help="Never redact this value, or what /REGEX/ fits; -VALUE takes it out. Repeatable.",
            rich_help_panel=Redaction,
        ),
    ] = None,
    phone_region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION",
            help="Look for phone numbers as written in these countries (GB, US, ...), in their "
            "place of those before. Repeatable.",
            rich_help_panel=Redaction,
        ),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            help="Failures nearer than this cosine distance (0 to 2) are the same pattern.",
            rich_help_panel=Change,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A whole policy as JSON or TOML, as `policy show --json` prints it.",
            rich_help_panel=Change,
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Back to the defaults.", rich_help_panel=Change)
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why, for whoever reads the history.", rich_help_panel=Signature)
    ] = "",
    by: Annotated[
        str | None,
        typer.Option(help="Who. Default: the system's user name.", rich_help_panel=Signature),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
) -> None:
    """Change a project's policy and show what became different.

    A change is in force everywhere within two seconds, for traces scored from then on; what was
    decided before stays as it is. The options change one thing each; --file and --reset replace
    the whole, and other options then change that.
    """
    from services.cli.policy import set_policy as run
    from services.cli.policy_edit import Edit
    from services.cli.redact_policy import RedactEdit

    edit = Edit(
        scores=tuple(score or ()),
        latency_ms=latency_ms,
        feedback_below=feedback_below,
        json_schema=json_schema,
        severity=severity,
        without=tuple(without or ()),
        redaction=RedactEdit(
            on=tuple(redact or ()),
            off=tuple(no_redact or ()),
            patterns=tuple(redact_pattern or ()),
            paths=tuple(redact_path or ()),
            allow=tuple(redact_allow or ()),
            regions=tuple(phone_region or ()),
        ),
        distance=distance,
        file=file,
        reset=reset,
    )
    run(project, edit, reason=reason, by=by, dry_run=dry_run)
