"""`dedup adaptive`: a distance that narrows as more of what goes wrong is known."""

import sys
from typing import Literal

import msgspec
import typer

from dedup.adaptive import Step
from dedup.policy import AdaptivePolicy, DedupPolicy
from services.adaptive import Simulation, simulated
from services.cli.dedup_distance import Signed, change_dedup, check_reason
from services.cli.dedup_what_if import check_distance, figures, nothing_to_replay
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import counted, print_json, print_table
from services.cli.problem import misused, refuse
from services.store.open import Store

_WIDER = 0.1
"""How much wider than the distance where nothing else is said: a place to begin the simulation from,
which then says what it does to this project."""
_ROWS = 12


def adaptive(
    what: Literal["on", "off", "simulate"],
    project: str | None,
    *,
    wide: float | None,
    signed: Signed,
    yes: bool,
    as_json: bool,
) -> None:
    """Switch the adaptive distance on or off, or only show what it would have done."""
    if wide is not None:
        check_distance(wide, "--wide")
    if what != "simulate":
        check_reason(signed)
    if what == "off":
        run(_off(project, signed, as_json=as_json))
    else:
        run(_on(project, wide, signed, only_show=what == "simulate", yes=yes, as_json=as_json))


async def _off(project: str | None, signed: Signed, *, as_json: bool) -> None:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        seen, policy = await store.policies.current(name)
        dedup = msgspec.structs.replace(policy.dedup, adaptive=None)
        change = await change_dedup(store, name, dedup, signed, seen=seen)
    if as_json:
        version = None if change is None else change.version
        print_json({"project": name, "adaptive": None, "version": version})
    elif change is None:
        print(f"The adaptive distance of {name} is off already.")
    else:
        print(
            f"The adaptive distance of {name} is off: version {change.version} of its policy. Within "
            f"2 seconds the distance is {policy.dedup.distance:g} again."
        )


async def _on(
    project: str | None,
    wide: float | None,
    signed: Signed,
    *,
    only_show: bool,
    yes: bool,
    as_json: bool,
) -> None:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        seen, policy = await store.policies.current(name)
        dedup = _adaptive(policy.dedup, wide)
        found = await _simulation(store, name, dedup)
        if not as_json:
            _print(found)
        version = None
        if not only_show:
            _agreed(name, yes=yes)
            change = await change_dedup(store, name, dedup, signed, seen=seen)
            version = None if change is None else change.version
    if as_json:
        print_json({"simulation": found, "switched_on": not only_show, "version": version})
    elif not only_show:
        said = "as before" if version is None else f"version {version} of its policy"
        print(
            f"\nThe adaptive distance of {name} is on: {said}. Within 10 seconds the distance "
            f"follows coverage; `evalratchet dedup distance --project {name}` shows where it is."
        )


def _adaptive(policy: DedupPolicy, wide: float | None) -> DedupPolicy:
    if wide is None:
        known = policy.adaptive
        wide = known.wide if known is not None else round(min(2.0, policy.distance + _WIDER), 4)
    if wide <= policy.distance:
        misused(
            f"--wide {wide:g} is not wider than the distance, {policy.distance:g}.",
            "The distance goes from --wide, while little is known, down to `dedup distance`.",
        )
    return msgspec.structs.replace(policy, adaptive=AdaptivePolicy(wide=wide))


async def _simulation(store: Store, project: str, policy: DedupPolicy) -> Simulation:
    found = await simulated(store.knob, project, policy)
    if found is None:
        nothing_to_replay(project)
    return found


def _agreed(project: str, *, yes: bool) -> None:
    """Return when the person who saw the simulation wants it. Raises `Problem`."""
    if yes:
        return
    if not sys.stdin.isatty():
        refuse(
            f"The adaptive distance of {project} was not switched on.",
            "That is the simulation on its history. Say --yes to switch it on.",
        )
    if not typer.confirm("\nSwitch it on?"):
        refuse(f"The adaptive distance of {project} was not switched on.")


def _print(found: Simulation) -> None:
    print(
        f"The history of {found.project}, had the distance gone from {found.wide:g} down to "
        f"{found.distance:g} as coverage rose:\n"
    )
    rows = [
        [
            f"{one.failures:,}",
            f"{one.distance:.3f}",
            f"{one.patterns:,}",
            f"{one.known_share:.0%}",
        ]
        for one in _some(found)
    ]
    columns = ["after failures", "distance before", "patterns", "known share"]
    print_table(columns, rows, flexible="after failures")
    print()
    table = [
        [name, today, then]
        for (name, today), (_, then) in zip(figures(found.today), figures(found.then), strict=True)
    ]
    print_table(["", "today", "simulated"], table, flexible="")
    print(
        f"\n{counted(found.unchanged, 'pattern')} would be exactly as today. "
        f"{found.merging:,} would be made of several of today's; {found.splitting:,} of today's would "
        f"split. {counted(found.moved_failures, 'failure')} would be in another pattern."
    )


def _some(found: Simulation) -> list[Step]:
    """At most a dozen steps, the last among them."""
    every = max(1, -(-len(found.steps) // _ROWS))
    return list(found.steps[::-1][::every][::-1])
