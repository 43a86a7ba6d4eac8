"""The command line `evalratchet`: the only home of typer and rich."""

import sys


def main() -> None:
    """Run the command line; the process ends with the command's exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character
    from services.cli.app import app  # noqa: PLC0415 - importing the package must stay free

    app(prog_name="evalratchet")
