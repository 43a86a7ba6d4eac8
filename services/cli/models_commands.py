"""`models`: embedding models that are made faster and smaller, once."""
# ruff: noqa: PLC0415 - see app.py

from pathlib import Path
from typing import Annotated

import typer

from services.cli.teaching import command

models = typer.Typer(no_args_is_help=True, help="Embedding models: compile, list.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@command(
    models,
    "evalratchet models compile",
    "evalratchet models compile ./my-model --sample failures.txt --bound 0.98",
    name="compile",
)
def compile_model(
    model: Annotated[
        str | None,
        typer.Argument(
            help="What EVALRATCHET_EMBEDDING_MODEL takes: the bundled model, or a name or folder "
            "that sentence-transformers loads. Default: what it is set to."
        ),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare on the lines of this file. Default: texts that come with evalratchet.",
        ),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            min=-1,
            max=1,
            help="The least mean cosine with the reference; the worst may be 0.02 lower. "
            "Default: 0.99.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compile it although it is compiled already.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compile an embedding model: int8, about four times faster, a quarter of the memory.

    Takes half a minute, and sentence-transformers. The result is compared with the reference, and
    kept only where they agree. `up` and `serve dedup` use it from their next start on
    (EVALRATCHET_EMBEDDING_BACKEND); a project that has patterns stays with the encoder it has until
    `evalratchet dedup reembed`.
    """
    from services.cli.models import compile_model as run

    run(model, sample=sample, bound=bound, again=again, as_json=as_json)


@command(models, "evalratchet models list", "evalratchet models list --json", name="list")
def list_models(as_json: JsonOption = False) -> None:
    """List the compiled models, whether their files are whole, and which one the settings choose.

    Exit code 1 means that one of them, or what the settings choose, cannot be used.
    """
    from services.cli.models import list_models as run

    run(as_json=as_json)
