"""`policy`: show it, change it, see who changed it."""

import difflib
import getpass
from datetime import UTC, datetime

import msgspec
from rich.text import Text

from capture.policy import Scorer
from capture.trace import ProjectName
from dedup.policy import DedupPolicy
from services.cli.opened import effective_settings, make_embedded_store, opened_store, run
from services.cli.output import console, full, print_json, when
from services.cli.policy_edit import Edit, edited, scorer_name
from services.cli.problem import ExitCode, misused, note, refuse
from services.cli.redact_policy import redaction_lines
from services.policy import Policy, PolicyChange
from services.representatives import settle

_LAST = {"severity": 1, "when": 2, "version": 3}  # in this order, after what the scorer bounds
_LEFT_OUT = frozenset({"type", "name", "signal"})  # the scorer's own name says them
_ALWAYS_SHOWN = frozenset({"severity", "below", "above", "above_ms", "sample"})
_STYLES = {"+": "green", "-": "red"}


def show_policy(project: str, *, as_json: bool) -> None:
    """Print the policy in force."""
    check_project_name(project)
    version, policy = run(_current(project))
    if as_json:
        print_json({"project": project, "version": version, "policy": full(policy)})
        return
    print(f"Policy of {project}, {_named(version)}:")
    for line in _lines(policy):
        print(f"  {line}")


def show_history(project: str, *, as_json: bool) -> None:
    """Print every change, oldest first."""
    check_project_name(project)
    changes = run(_history(project))
    if as_json:
        print_json([full(change) for change in changes])
        return
    if not changes:
        note(f"The policy of {project} was never changed: the defaults are in force.")
    for change in changes:
        print(f"version {change.version}, {when(change.changed_at)}, by {change.changed_by}")
        if change.reason:
            print(f"  {change.reason}")
        _print_difference(change.before, change.after)


def set_policy(project: str, edit: Edit, *, reason: str, by: str | None, dry_run: bool) -> None:
    """Change the policy and print the difference."""
    check_project_name(project)
    if edit.empty:
        refuse(
            "Nothing was said to be changed.",
            "For example: evalratchet policy set PROJECT --score faithfulness=3\n"
            "See `evalratchet policy set --help`.",
            code=ExitCode.USAGE,
        )
    version, before, after, change = run(
        _set(project, edit, by=by or getpass.getuser(), reason=reason, dry_run=dry_run)
    )
    if before == after:
        print(f"Nothing is different: {project} stays at {_named(version)}.")
        return
    _print_difference(before, after)
    if change is None:
        print(f"Not changed (--dry-run): {project} stays at {_named(version)}.")
        return
    print(
        f"Version {change.version} of {project}'s policy, by {change.changed_by}. It is in force "
        "within 2 seconds, for traces scored from then on."
    )


async def _set(
    project: str, edit: Edit, *, by: str, reason: str, dry_run: bool
) -> tuple[int, Policy, Policy, PolicyChange | None]:
    settings = effective_settings()
    await make_embedded_store(settings)
    async with opened_store(settings) as store:
        version, before = await store.policies.current(project)
        after = edited(before, edit)
        if dry_run or before == after:
            return version, before, after, None
        change = await store.policies.change(
            project, after, by=by, reason=reason, at=datetime.now(UTC), expected=version
        )
        if change is not None and before.dedup.representative != after.dedup.representative:
            await settle(store.medoids, project)
    if change is None:
        refuse(
            f"Somebody else changed the policy of {project} at the same time.",
            "Nothing was changed by this command. Look at `evalratchet policy history "
            f"{project}` and say it again if it still holds.",
        )
    return version, before, after, change


async def _current(project: str) -> tuple[int, Policy]:
    async with opened_store(effective_settings()) as store:
        return await store.policies.current(project)


async def _history(project: str) -> list[PolicyChange]:
    async with opened_store(effective_settings()) as store:
        return await store.policies.history(project)


def check_project_name(project: str) -> None:
    """Raise a `Problem` for what cannot be the name of a project."""
    try:
        msgspec.convert(project, ProjectName)
    except msgspec.ValidationError:
        misused(
            f"{project!r} cannot be the name of a project.",
            "A name has 1 to 64 letters, digits, dots, underscores and hyphens, and begins with a "
            "letter or a digit.",
        )


def _named(version: int) -> str:
    return f"version {version}" if version else "the defaults"


def _print_difference(before: Policy, after: Policy) -> None:
    old, new = _lines(before), _lines(after)
    shown = console()
    for line in difflib.ndiff(old, new):
        if line[0] in _STYLES:
            shown.print(Text(f"  {line}", _STYLES[line[0]]), soft_wrap=True)


def _lines(policy: Policy) -> list[str]:
    """The policy, one setting a line."""
    lines = []
    for scorer in policy.scoring.scorers:
        stated = [field for field in msgspec.structs.fields(scorer) if _is_shown(scorer, field)]
        stated.sort(key=lambda field: _LAST.get(field.name, 0))
        bounds = [f"{field.name}={_value(_plain(scorer, field.name))}" for field in stated]
        lines.append(f"scorer {scorer_name(scorer)} {' '.join(bounds)}")
    lines += redaction_lines(policy.redaction)
    lines.append(_dedup_line(policy.dedup))
    for number, rule in enumerate(policy.promotion.rules, start=1):
        parts = [
            f"{name}={_value(value)}" for name, value in full(rule).items() if value is not None
        ]
        lines.append(f"promotion rule {number}: {' '.join(parts)}")
    return lines


def _dedup_line(policy: DedupPolicy) -> str:
    """The distance, and whatever else is not its default."""
    default, stated = full(DedupPolicy()), full(policy)
    more = [
        f"{name}={_value(value)}"
        for name, value in stated.items()
        if name != "distance" and value != default[name]
    ]
    return " ".join([f"dedup distance={policy.distance:g}", *more])


def _is_shown(scorer: Scorer, field: msgspec.structs.FieldInfo) -> bool:
    """Whether a field is worth a word: what it bounds and how severe it is, and what was chosen."""
    if field.name in _LEFT_OUT or getattr(scorer, field.name) is None:
        return False
    value = getattr(scorer, field.name)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value)
    return field.name in _ALWAYS_SHOWN or value != field.default


def _plain(scorer: Scorer, name: str) -> object:
    plain: object = msgspec.to_builtins(getattr(scorer, name))
    return plain


def _value(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"  # 3 and 3.0 are the same bound
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
