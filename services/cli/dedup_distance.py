"""`dedup distance`: the knob, who turned it and why."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from dedup.policy import DedupPolicy
from dedup.what_if import replay
from services.cli.dedup_what_if import check_distance, nothing_to_replay
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, make_embedded_store, opened_store, run
from services.cli.output import print_fields, print_json, print_table, when
from services.cli.policy import check_project_name
from services.cli.problem import misused, note, refuse
from services.coverage import effective_distance
from services.policy import Policy, PolicyChange
from services.reassigning import carry_out, planned
from services.store.open import Store


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the distance or of the adaptive mode. `wide`: null when it is off."""

    version: int
    changed_at: datetime
    changed_by: str
    reason: str
    distance: float
    wide: float | None


class Knob(msgspec.Struct, frozen=True, kw_only=True):
    """What `dedup distance` shows. `effective` is the distance now, where it follows coverage.

    `owner`: who set it last; null while it is the default.
    """

    project: str
    distance: float
    effective: float
    wide: float | None
    owner: str | None
    changed_at: datetime | None
    reason: str
    history: Sequence[Turned]


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something, and why."""

    by: str | None
    reason: str


def show_distance(project: str | None, *, as_json: bool) -> None:
    """Print the distance, who set it, why, and every change of it."""
    knob = run(_shown(project))
    if as_json:
        print_json(knob)
        return
    last = knob.history[-1] if knob.history else None
    adaptive = "off"
    if knob.wide is not None:
        adaptive = f"on, from {knob.wide:g} down to {knob.distance:g}"
        if knob.wide <= knob.distance:
            adaptive = f"on, without effect: {knob.wide:g} is not wider than the distance"
    fields = [
        ("project", knob.project),
        ("distance", f"{knob.distance:g}"),
        ("adaptive", adaptive),
        ("in force now", f"{knob.effective:.3g}"),
        ("owner", knob.owner or "nobody: it is the default"),
    ]
    if last is not None:
        fields += [("since", when(last.changed_at)), ("reason", last.reason or "-")]
    print_fields(fields)
    if knob.history:
        print()
        rows = [
            [
                str(one.version),
                f"{one.distance:g}",
                "-" if one.wide is None else f"{one.wide:g}",
                when(one.changed_at),
                one.changed_by,
                one.reason,
            ]
            for one in knob.history
        ]
        print_table(["version", "distance", "wide", "when", "who", "why"], rows, flexible="why")


def set_distance(
    project: str | None, distance: float, signed: Signed, *, reassign: bool, as_json: bool
) -> None:
    """Change the distance, and what is stored with it when asked to."""
    check_distance(distance, "The distance")
    check_reason(signed)
    name, before, change, steps = run(_set(project, distance, signed, reassign=reassign))
    if as_json:
        version = None if change is None else change.version
        document = {"project": name, "before": before, "distance": distance, "version": version}
        print_json(document | {"reassigned": steps})
        return
    if change is None:
        print(f"The distance of {name} is {distance:g} already.")
    else:
        print(
            f"The distance of {name} is {distance:g}, before it was {before:g}: version "
            f"{change.version} of its policy, by {change.changed_by}. It is in force within 2 "
            "seconds, for failures decided from then on."
        )
        if change.after.dedup.adaptive is not None:
            print(
                "The adaptive mode is on: this is what it goes down to. `evalratchet dedup distance "
                f"--project {name}` shows where it is now."
            )
    if steps is None:
        print(
            "What was decided before stays. `--reassign` carries it out on that too; "
            "`evalratchet dedup what-if` shows what would change."
        )
    elif steps:
        print(
            f"Reassigned what is stored: {steps['split']} splits and {steps['merge']} merges. Each "
            f"is in `evalratchet patterns history --project {name}` and can be undone: `patterns undo`, "
            "the latest first."
        )
    else:
        print("What is stored is as this distance would have it: nothing to reassign.")


def check_reason(signed: Signed) -> None:
    """Raise a `Problem` where nobody said why."""
    if not signed.reason.strip():
        misused(
            "Say why, for whoever reads the history: --reason.",
            'For example: --reason "refunds and returns were one pattern"',
        )


async def change_dedup(
    store: Store, project: str, dedup: DedupPolicy, signed: Signed, *, seen: int
) -> PolicyChange | None:
    """Put another dedup policy in force; None when it is in force already. Raises `Problem`.

    seen: the version of the policy that `dedup` was made from; with a later one nothing is changed.
    """
    _, before = await store.policies.current(project)
    after = msgspec.structs.replace(before, dedup=dedup)
    if after == before:
        return None
    change = await store.policies.change(
        project,
        after,
        by=signed.by or getpass.getuser(),
        reason=signed.reason,
        at=datetime.now(UTC),
        expected=seen,
    )
    if change is None:
        refuse(
            f"Somebody else changed the policy of {project} at the same time.",
            "Nothing was changed by this command. Look at `evalratchet dedup distance --project "
            f"{project}` and say it again if it still holds.",
        )
    return change


async def _shown(project: str | None) -> Knob:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        _, policy = await store.policies.current(name)
        turned = _turned(await store.policies.history(name))
        effective = await effective_distance(store.knob, name, policy.dedup)
    last = turned[-1] if turned else None
    return Knob(
        project=name,
        distance=policy.dedup.distance,
        effective=effective,
        wide=_wide(policy),
        owner=None if last is None else last.changed_by,
        changed_at=None if last is None else last.changed_at,
        reason="" if last is None else last.reason,
        history=turned,
    )


def _turned(changes: Sequence[PolicyChange]) -> list[Turned]:
    """The changes that turned the knob, oldest first."""
    return [
        Turned(
            version=one.version,
            changed_at=one.changed_at,
            changed_by=one.changed_by,
            reason=one.reason,
            distance=one.after.dedup.distance,
            wide=_wide(one.after),
        )
        for one in changes
        if (one.before.dedup.distance, _wide(one.before))
        != (one.after.dedup.distance, _wide(one.after))
    ]


def _wide(policy: Policy) -> float | None:
    return None if policy.dedup.adaptive is None else policy.dedup.adaptive.wide


async def _set(
    project: str | None, distance: float, signed: Signed, *, reassign: bool
) -> tuple[str, float, PolicyChange | None, dict[str, int] | None]:
    settings = effective_settings()
    if project is not None:
        check_project_name(project)
        await make_embedded_store(settings)
    async with opened_store(settings) as store:
        name = await one_project(store, None) if project is None else project
        if name not in await store.reader.projects():
            note(f"Nothing has come from a project named {name!r} yet: this is for when it does.")
        version, policy = await store.policies.current(name)
        check_narrower(name, distance, policy)
        dedup = msgspec.structs.replace(policy.dedup, distance=distance)
        change = await change_dedup(store, name, dedup, signed, seen=version)
        steps = await _reassigned(store, name, distance, signed) if reassign else None
    return name, policy.dedup.distance, change, steps


def check_narrower(project: str, distance: float, policy: Policy) -> None:
    """Raise a `Problem` for a distance that the adaptive mode could not go down to."""
    wide = _wide(policy)
    if wide is not None and wide <= distance:
        misused(
            f"The adaptive distance of {project} begins at {wide:g} and goes down: {distance:g} is no end "
            "of that.",
            "First `evalratchet dedup adaptive on --wide` with more, or `dedup adaptive off`.",
        )


async def _reassigned(
    store: Store, project: str, distance: float, signed: Signed
) -> dict[str, int]:
    recorded = await store.knob.history(project)
    if recorded is None:
        nothing_to_replay(project)
    # a command does one thing and ends: its event loop serves nobody else meanwhile
    groups = replay(recorded.history, distance).groups
    plan = planned(recorded.history, groups)
    if plan.empty:
        return {}
    note(
        f"Reassigning {len(recorded.history):,} texts: {len(plan.splits):,} pieces leave a pattern."
    )
    done = await carry_out(
        plan,
        recorded.history,
        project=project,
        reader=store.knob,
        changes=store.changes,
        by=signed.by or getpass.getuser(),
        reason=f"{distance:g}: {signed.reason}",
        at=datetime.now(UTC),
    )
    kinds = [change.kind for change in done]
    return {"split": kinds.count("split"), "merge": kinds.count("merge")}
