"""The command line `evalratchet`: the only home of typer and rich."""

import sys


def main() -> None:
    """Run the command line; the process ends with the command's exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character
    from services.cli.app import app  # noqa: PLC0415 - importing the package must stay free

    try:
        try:
            app(prog_name="evalratchet")
        finally:
            if sys.stdout is not None:  # closed by who started this
                sys.stdout.flush()  # here it can be told that this failed, at the end of Python not
    except OSError as error:
        from services.cli.problem import output_lost  # noqa: PLC0415 - see above

        sys.exit(output_lost(error))
