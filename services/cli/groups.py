"""The groups of commands, each with its help. What each does is loaded when it runs."""

import typer

from services.cli import (
    dedup_answers_commands,
    dlq_commands,
    keys_commands,
    models_commands,
    modes_commands,
    pattern_commands,
    policy_commands,
    reading_commands,
    schema_commands,
    traces_commands,
)


def add_to(app: typer.Typer) -> None:
    """Add every group to the root, in the order of its help."""
    app.add_typer(reading_commands.cases, name="cases")
    app.add_typer(pattern_commands.patterns, name="patterns")
    app.add_typer(modes_commands.modes, name="modes")
    app.add_typer(traces_commands.traces, name="traces")
    app.add_typer(policy_commands.policy, name="policy")
    app.add_typer(dedup_answers_commands.dedup, name="dedup")
    app.add_typer(keys_commands.keys, name="keys")
    app.add_typer(models_commands.models, name="models")
    app.add_typer(dlq_commands.dlq, name="dlq")
    app.add_typer(schema_commands.db, name="db")
    app.add_typer(schema_commands.topics, name="topics")
