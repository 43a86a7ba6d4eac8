"""Changes to what a policy redacts, from options."""

from collections.abc import Sequence
from typing import get_args

import msgspec

from capture.redaction.policy import KINDS, Kind, RedactionPolicy
from services.cli.problem import misused

_ALL = "all"


class RedactEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What `policy set` was asked to change. `patterns` are NAME=REGEX; NAME= takes one out."""

    on: Sequence[str] = ()
    off: Sequence[str] = ()
    patterns: Sequence[str] = ()
    paths: Sequence[str] = ()
    allow: Sequence[str] = ()
    regions: Sequence[str] = ()


def redacting(policy: RedactionPolicy, edit: RedactEdit) -> RedactionPolicy:
    """The policy after the edit. Raises `Problem`, which says what to change."""
    kinds, enabled = set(policy.kinds), policy.enabled
    for kind in edit.on:
        kinds |= set(_kinds(kind, "--redact"))
        enabled = True
    for kind in edit.off:
        kinds -= set(_kinds(kind, "--no-redact"))
        enabled = enabled and kind != _ALL
    if _ALL in edit.off and not edit.on:
        kinds = set(policy.kinds)  # what `--redact all` or another version brings back
    patterns = {**policy.patterns, **dict(map(_pattern, edit.patterns))}
    try:
        return RedactionPolicy(
            enabled=enabled,
            kinds=tuple(kind for kind in KINDS if kind in kinds),
            phone_regions=tuple(r.upper() for r in edit.regions) or policy.phone_regions,
            patterns={name: pattern for name, pattern in patterns.items() if pattern},
            json_paths=_with(policy.json_paths, edit.paths),
            allow=_with(policy.allow, edit.allow),
        )
    except ValueError as error:
        misused("That redaction cannot be done.", str(error))


def redaction_lines(policy: RedactionPolicy) -> list[str]:
    """What is redacted, one setting a line."""
    if not policy.enabled:
        return ["redaction off"]
    left = [kind for kind in KINDS if kind not in policy.kinds]
    kinds = f"all kinds but {', '.join(left)}" if left else "all kinds"
    return [
        f"redaction {kinds if policy.kinds else 'no built-in kind'}",
        f"redaction phone_regions={','.join(policy.phone_regions)}",
        *(f"redaction pattern {name}={pattern}" for name, pattern in policy.patterns.items()),
        *(f"redaction path {path}" for path in policy.json_paths),
        *(f"redaction allow {value}" for value in policy.allow),
    ]


def _kinds(name: str, option: str) -> tuple[Kind, ...]:
    if name == _ALL:
        return KINDS
    if name not in KINDS:
        misused(
            f"{option} {name}: there is no such kind.",
            f"There are: {', '.join(get_args(Kind))}; and `all`",
        )
    return tuple(kind for kind in KINDS if kind == name)


def _pattern(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not equals:
        misused(
            f"--redact-pattern {text} is not NAME=REGEX.",
            r"For example --redact-pattern 'customer=\bCU-\d{6}\b'; NAME= takes one out",
        )
    return name, pattern


def _with(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """What was there, then what is new; `-VALUE` takes one out."""
    gone = {value[1:] for value in new if value.startswith("-")}
    kept = [value for value in old if value not in gone]
    return (*kept, *(v for v in new if v not in kept and not v.startswith("-")))
