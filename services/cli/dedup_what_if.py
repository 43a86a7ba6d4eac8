"""`dedup what-if`: another distance on the project's own history."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from dedup.comparison import Grouping
from services.cli.drawing import check_picture, draw_what_if, terminal_what_if
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import console, counted, one_line, print_json, print_table
from services.cli.patterns import called
from services.cli.problem import misused, note, refuse
from services.cli.span import moment_before_now
from services.what_if import Asked, Example, WhatIf, what_if

_LARGEST_DISTANCE = 2
_BEFORE_TEXT = 5 + 16 + 2 + 14 + 2  # characters of a line of an example: number, pattern, failures
_FEWEST_CHARACTERS = 24


def show_what_if(
    project: str | None,
    distance: float,
    *,
    since: str | None,
    examples: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Print what another distance would do, and draw it."""
    check_distance(distance, "--distance")
    if plot is not None:
        check_picture(plot)
    answer = run(_asked(project, distance, moment_before_now(since), examples))
    if plot is not None:
        draw_what_if(answer, plot)
        note(f"Drawn: {plot}")
    if as_json:
        print_json(answer)
        return
    print_what_if(answer)


def check_distance(distance: float, name: str) -> None:
    """Raise a `Problem` for what is no cosine distance."""
    if not 0 <= distance <= _LARGEST_DISTANCE:
        misused(
            f"{name} {distance:g} is no distance.",
            "Give a cosine distance from 0 (only the same text is the same failure) to 2.",
        )


async def _asked(
    project: str | None, distance: float, since: datetime | None, examples: int
) -> WhatIf:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        _, policy = await store.policies.current(name)
        answer = await what_if(
            store.knob,
            name,
            Asked(
                distance=distance,
                since=since,
                examples=examples,
                representative=policy.dedup.representative,
            ),
            current=policy.dedup.distance,
            adaptive=policy.dedup.adaptive is not None,
        )
    if answer is None:
        nothing_to_replay(name)
    if not answer.failures:
        refuse(
            f"No failure of {name} with a stored vector is that young.",
            "Ask for a longer time with --since, or leave it out.",
        )
    return answer


def nothing_to_replay(project: str) -> NoReturn:
    """Raise the `Problem` of a project without stored vectors."""
    refuse(
        f"{project} has no stored failures to replay yet.",
        "Vectors are kept from the first failure that this version decides about. Projects of an "
        "older version get theirs by `evalratchet dedup reembed`.",
    )


def print_what_if(answer: WhatIf) -> None:
    """Print the answer for people."""
    since = f" since {answer.since:%Y-%m-%d %H:%M}Z" if answer.since is not None else ""
    asked = (
        f"The dedup distance of {answer.project} is {answer.distance:g}: what if everything had been "
        "decided at it?"
        if answer.distance == answer.current_distance
        else f"What if the dedup distance of {answer.project} were {answer.distance:g} instead of "
        f"{answer.current_distance:g}?"
    )
    print(
        f"{asked} "
        f"{counted(answer.failures, 'failure')}{since}, "
        f"{counted(answer.texts, 'distinct text')}.\n"
    )
    rows = [
        [name, today, then]
        for (name, today), (_, then) in zip(
            figures(answer.today), figures(answer.then), strict=True
        )
    ]
    print_table(["", "today", f"at {answer.distance:g}"], rows, flexible="")
    share = answer.moved_failures / max(1, answer.failures)
    print(
        f"\n{counted(answer.unchanged, 'pattern')} would be exactly as today. "
        f"{counted(answer.merging, 'pattern')} would be made of several of today's; "
        f"{answer.splitting:,} of today's would split. "
        f"{counted(answer.moved_failures, 'failure')} ({share:.0%}) would be in another pattern."
    )
    _print_examples("Would become one pattern", answer.merges, answer.merging)
    _print_examples("Would come apart", answer.splits, answer.splitting)
    print(f"\n{terminal_what_if(answer)}")
    for said in answer.notes:
        print(f"\n{said}")


def figures(one: Grouping) -> list[tuple[str, str]]:
    """A grouping by name and value, as people read it."""
    known = one.coverage
    share, sure = known.known_share, known.known_share_interval
    in_all = known.patterns_in_all_interval
    quantiles = one.occurrences
    return [
        ("patterns", f"{one.patterns:,}"),
        ("bloat: patterns for each text", f"{one.bloat:.2f}"),
        ("failures of a pattern: median", f"{quantiles['0.5']:g}"),
        ("  nine in ten have at most", f"{quantiles['0.9']:g}"),
        ("  the largest has", f"{quantiles['1']:g}"),
        ("patterns seen once", f"{known.seen_once:,}"),
        ("failures to come that are known", "-" if share is None else f"{share:.0%}"),
        ("  95 % interval", "-" if sure is None else f"{sure.low:.0%} to {sure.high:.0%}"),
        ("patterns in all, at least", f"{known.patterns_in_all:,.0f}"),
        ("  95 % interval", f"{in_all.low:,.0f} to {in_all.high:,.0f}"),
    ]


def _print_examples(title: str, examples: Sequence[Example], count: int) -> None:
    if not examples:
        return
    print(f"\n{title} ({len(examples)} of {count:,}, most failures first):")
    room = min(100, max(_FEWEST_CHARACTERS, console().width - _BEFORE_TEXT))
    for number, one in enumerate(examples, start=1):
        for place, part in enumerate(one.parts):
            head = f"{number:>3}. " if place == 0 else "     "
            seen = counted(part.failures, "failure")
            print(
                f"{head}{part.pattern_id}  {seen:>14}  {one_line(called(part.name, part.text), room)}"
            )
        if one.more:
            print(f"     and {one.more:,} more")
