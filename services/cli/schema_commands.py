"""`db` and `topics`: the commands that prepare what the services stand on."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated

import typer

from services.cli.teaching import command

db = typer.Typer(no_args_is_help=True, help="The store's tables.")
topics = typer.Typer(no_args_is_help=True, help="The stream's topics.")


@command(db, "evalratchet db upgrade")
def upgrade() -> None:
    """Bring the store to this version's tables. Harmless when it is there already.

    `evalratchet up` does it by itself; with several processes, run it once before they start.
    """
    from services.cli.db import upgrade as run

    run()


@command(db, "evalratchet db current")
def current(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show which version the store's tables have. Exit code 1 when an upgrade is due."""
    from services.cli.db import current as run

    run(as_json=as_json)


@command(topics, "EVALRATCHET_STREAM=kafka://broker:9092 evalratchet topics apply")
def apply() -> None:
    """Create the topics that are missing, with their settings. Nothing is ever deleted."""
    from services.cli.topics import apply as run

    run()
