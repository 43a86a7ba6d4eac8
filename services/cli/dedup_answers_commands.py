"""`dedup`: the commands that learn from answers."""
# ruff: noqa: PLC0415 - see app.py

from typing import Annotated

import typer

from services.cli.dedup_commands import ByOption, JsonOption, OneProjectOption, ReasonOption
from services.cli.dedup_commands import dedup as dedup  # noqa: PLC0414 - with them, for `groups`
from services.cli.teaching import command


@command(
    dedup,
    "evalratchet dedup label --project support",
    "evalratchet dedup label --count 50 --json > pairs.json",
    "evalratchet dedup label --answers answers.jsonl --by ann",
    name="label",
)
def label(
    project: OneProjectOption = None,
    count: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Ask about so many pairs.")
    ] = 20,
    by: ByOption = None,
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Take answers as JSON lines {first, second, verdict}; - is standard input.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw these pairs again, as long as nothing changed.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask whether two failures are the same, one key each, about the pairs that tell most.

    Those are near the dedup distance, on both sides, and from many patterns. Each answer is kept at
    once, and the last answer about a pair counts. From a pipe a line is an answer. With --json the
    pairs are printed without asking; --answers takes the answers back.
    """
    from services.cli.dedup_label import label_pairs, take_answers

    if answers is not None:
        take_answers(project, answers, by=by, as_json=as_json)
    else:
        label_pairs(project, count=count, by=by, seed=seed, as_json=as_json)


@command(
    dedup,
    "evalratchet dedup calibrate --project support",
    'evalratchet dedup calibrate --apply --reason "120 labelled pairs"',
    name="calibrate",
)
def calibrate(
    project: OneProjectOption = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Put the proposed distance in force.")
    ] = False,
    reason: ReasonOption = "",
    by: ByOption = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Put it in force though the answers do not yet tell the two distances apart.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit the dedup distance to the answers of `dedup label`, reviews, merges and splits.

    Prints precision and recall at the distance in force and at the proposed one, with their
    intervals. From a hundred failures labelled the same as another one, a metric is fitted too, and
    proposed if cross-validation says that it helps. Needs 20 answers of each kind; exit code 1 with
    fewer.
    """
    from services.cli.dedup_calibrate import calibrate as run
    from services.cli.dedup_distance import Signed

    run(project, Signed(by=by, reason=reason), apply=apply, yes=yes, as_json=as_json)
