"""`keys`: who may send, read, review and administer."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated

import typer

from services.cli.teaching import command

keys = typer.Typer(no_args_is_help=True, help="API keys: make, list, revoke.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@command(
    keys,
    "evalratchet keys create shop --scope ingest --name 'web servers'",
    "KEY=$(evalratchet keys create shop --scope ingest --scope read --expires-days 90)",
    "evalratchet keys create --all-projects --scope admin --name ops",
)
def create(
    project: Annotated[
        str | None, typer.Argument(help="The project that the key is for, and no other.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What the key may do: ingest, read, review, admin. Repeatable; none implies "
            "another. Default: ingest.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Whose key it is, for whoever reads the list.")] = "",
    expires_days: Annotated[
        float | None,
        typer.Option(min=0.001, max=36500, metavar="DAYS", help="It opens nothing after so long."),
    ] = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="For every project, instead of one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an API key and print it, once: only a hash of it is kept.

    The key alone is on standard output. It is accepted everywhere within two seconds, and needed
    where capture listens on an address that other machines reach (EVALRATCHET_AUTH).
    """
    from services.cli.keys import create_key

    create_key(
        project,
        scopes=scope or ["ingest"],
        name=name,
        expires_days=expires_days,
        all_projects=all_projects,
        as_json=as_json,
    )


@command(keys, "evalratchet keys list", "evalratchet keys list --project shop --json", name="list")
def list_keys(
    project: Annotated[str | None, typer.Option(help="Keys of this project only.")] = None,
    all_keys: Annotated[bool, typer.Option("--all", help="The revoked and expired too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List API keys by the part that may be shown, with what they may do and when they were used."""
    from services.cli.keys import list_keys as run

    run(project=project, all_keys=all_keys, as_json=as_json)


@command(keys, "evalratchet keys revoke er_k3Xp0aQm81Zb")
def revoke(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Its beginning as `keys list` shows it, or all.")
    ],
) -> None:
    """Revoke an API key for good. It opens nothing any more within two seconds, in every process."""
    from services.cli.keys import revoke_key

    revoke_key(key)
