"""`settings`: the effective settings and where each comes from."""

import os
import tomllib
from pathlib import Path

from services.cli.opened import effective_settings
from services.cli.output import print_json, print_table
from services.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, PREFIX, Settings, unknown_variables


def show_settings(*, as_json: bool) -> None:
    """Print every setting, its value with secrets masked, and its source."""
    settings = effective_settings()
    shown, sources = settings.masked(), _sources()
    if as_json:
        print_json(
            {"settings": shown, "sources": sources, "unknown_variables": unknown_variables()}
        )
        return
    rows = [
        [
            PREFIX + name.upper(),
            "" if shown[name] is None else str(shown[name]),
            sources[name],
            field.description or "",
        ]
        for name, field in Settings.model_fields.items()
    ]
    print_table(["setting", "value", "from", "what it is"], rows, flexible="what it is")


def _sources() -> dict[str, str]:
    """For each setting `environment`, the file's name, or `default`."""
    path = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))
    in_file = tomllib.loads(path.read_text()) if path.is_file() else {}
    variables = {name.upper() for name in os.environ}  # pydantic-settings reads them in any case
    return {
        name: "environment"
        if PREFIX + name.upper() in variables
        else (str(path) if name in in_file else "default")
        for name in Settings.model_fields
    }
