"""The commands as they are typed, with their help. What each does is loaded when it runs."""
# ruff: noqa: PLC0415 - `--help` must not wait for what another command needs

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli import groups
from services.cli.problem import Guarded
from services.cli.teaching import command, epilog

Service = Literal["capture", "dedup", "grade", "promote", "sidecar"]

app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns production failures of an LLM application into regression tests, once each.\n\n"
    "Start with `evalratchet up`, send traces, then look at `status` and `cases list`.",
    epilog=epilog(
        "evalratchet up",
        "evalratchet send traces.jsonl --wait",
        "evalratchet cases list",
        after="Exit codes: 0 done, 1 the answer is no or a part failed, 2 wrong use, "
        "3 something cannot be reached.",
    ),
)
groups.add_to(app)


def _say_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help="Show the version and stop."
        ),
    ] = False,
) -> None:
    """What holds for every command; the help of the root stands above."""


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
TimeoutOption = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="With --wait: give up after this long.")
]


@command(app, "evalratchet up", "EVALRATCHET_LISTEN=0.0.0.0:9000 evalratchet up")
def up() -> None:
    """Run everything in this process: capture, dedup, grade and promote.

    Migrates the store first. Ctrl-C stops it; a restart continues where it stopped.
    """
    from services.cli.running import run_everything

    run_everything()


@command(app, "evalratchet serve capture", "evalratchet serve dedup")
def serve(
    service: Annotated[Service, typer.Argument(help="The service this process runs.")],
) -> None:
    """Run one service, with the stream and the store of the settings.

    Start as many of each as needed; they share the work. The store is not migrated:
    run `evalratchet db upgrade` (and `evalratchet topics apply` for Kafka) before.

    `sidecar` runs beside an app: it takes what capture takes, and keeps it on disk while Kafka is away.
    """
    from services.cli.running import run_beside_an_app, run_one

    if service == "sidecar":
        run_beside_an_app()
    else:
        run_one(service)


@command(
    app,
    "evalratchet send traces.jsonl",
    "evalratchet send exported.otlp.json --wait",
    "zcat traces.jsonl.gz | evalratchet send -",
)
def send(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files to send; - is standard input.")
    ],
    url: Annotated[
        str | None,
        typer.Option(help="Where capture listens. Default: what EVALRATCHET_LISTEN says."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            help="For OTLP: the project, whatever the file says. Native traces name theirs."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when everything sent has reached the store.")
    ] = False,
    timeout: TimeoutOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Send traces from files: native JSONL or OTLP JSON, told apart by what is in them.

    Sending a file again is harmless: ids are derived from what is sent, so an interrupted send is
    resumed by repeating it. What the server refuses is listed with its file, line and reason.
    """
    from services.cli.send import send_files

    send_files(files, url=url, project=project, wait=wait, timeout=timeout, as_json=as_json)


@command(
    app,
    "evalratchet rescore support --since 24h --dry-run",
    "evalratchet rescore support --trace 4f28115818e3",
)
def rescore(
    project: Annotated[str, typer.Argument(help="The project.")],
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only traces that got something since: 90m, 24h, 7d. Default: all."
        ),
    ] = None,
    trace: Annotated[str | None, typer.Option(metavar="ID", help="Only this trace.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which would newly fail, and why.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score archived traces once more, with the policy in force.

    For when the policy changed, and for traces that a judge or a scorer in Python could not be asked
    about at the time. The traces become due again and take the ordinary way; a trace that failed
    before does not become a second failure. With --dry-run the scorers are asked here, judges included.
    """
    from services.cli.rescore import rescore as run

    run(project, since=since, trace_id=trace, dry_run=dry_run, as_json=as_json)


@command(
    app,
    "evalratchet redact --dry-run traces.jsonl",
    "evalratchet redact traces.jsonl --output clean.jsonl",
)
def redact(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files to look at; - is standard input.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be taken out, write nothing.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the traces without it, as JSON lines."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            help="For OTLP: the project, whatever the file says. Native traces name theirs."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what redaction takes out of traces: by kind, where, and what takes its place.

    Nothing is sent. The policy is that of each trace's project in the store, or the defaults where
    there is no store. What was found is shown masked: its first two characters and its length.
    """
    from services.cli.redact import redact_files

    redact_files(
        files,
        project=project,
        dry_run=dry_run,
        output=None if dry_run else output,
        as_json=as_json,
    )


@command(app, "evalratchet status", "evalratchet status --wait --timeout 60 --json")
def status(
    project: Annotated[str | None, typer.Option(help="Count this project only.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when everything sent has reached the store.")
    ] = False,
    timeout: TimeoutOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Show what came in, what became of it, and what each stage still has to do.

    Works while the services run elsewhere and while they are down. With --wait, exit code 1 means
    that something was still waiting when the time was over.
    """
    from services.cli.status import show_status

    show_status(project=project, wait=wait, timeout=timeout, as_json=as_json)


@command(app, "evalratchet settings", "evalratchet settings --json")
def settings(as_json: JsonOption = False) -> None:
    """Show the effective settings and where each comes from; secrets are masked.

    Settings come from EVALRATCHET_* variables, then from the TOML file that EVALRATCHET_CONFIG
    names (evalratchet.toml in the working folder when it names none), then from the defaults.
    """
    from services.cli.settings import show_settings

    show_settings(as_json=as_json)


@command(app, "evalratchet version")
def version() -> None:
    """Show the version."""
    from importlib.metadata import version as installed

    print(installed("evalratchet"))
