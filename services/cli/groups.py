"""The groups of commands, each with its help. What each does is loaded when it runs."""

import typer

from services.cli import (
    dlq_commands,
    keys_commands,
    policy_commands,
    reading_commands,
    schema_commands,
    traces_commands,
)


def add_to(app: typer.Typer) -> None:
    """Add every group to the root, in the order of its help."""
    app.add_typer(reading_commands.cases, name="cases")
    app.add_typer(reading_commands.patterns, name="patterns")
    app.add_typer(traces_commands.traces, name="traces")
    app.add_typer(policy_commands.policy, name="policy")
    app.add_typer(keys_commands.keys, name="keys")
    app.add_typer(dlq_commands.dlq, name="dlq")
    app.add_typer(schema_commands.db, name="db")
    app.add_typer(schema_commands.topics, name="topics")
