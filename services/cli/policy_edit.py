"""Changes to a policy, from options and files. Pure but for the reading of files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from capture.events import Severity
from capture.policy import (
    KINDS,
    FeedbackScorer,
    JsonSchemaScorer,
    LatencyScorer,
    Scorer,
    SignalScorer,
)
from services.cli.policy_faults import explained
from services.cli.problem import misused
from services.cli.redact_policy import RedactEdit, redacting
from services.policy import Policy

_LARGEST_DISTANCE = 2  # of vectors that point in opposite directions
_LONGEST_NAME = 128


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What `policy set` was asked to change. `scores` are NAME=BOUND."""

    scores: Sequence[str] = ()
    latency_ms: float | None = None
    feedback_below: float | None = None
    json_schema: Path | None = None
    severity: Severity | None = None
    without: Sequence[str] = ()
    distance: float | None = None
    redaction: RedactEdit = RedactEdit()
    file: Path | None = None
    reset: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was asked for."""
        return self == Edit()


def edited(policy: Policy, edit: Edit) -> Policy:
    """The policy after the edit.

    Raises:
        Problem: an option or a file that makes no valid policy; it says what to change.
    """
    _check_bounds(edit)
    if edit.file is not None and edit.reset:
        misused("--file and --reset both replace the whole policy.", "Leave one of them out.")
    if edit.reset:
        policy = Policy()
    if edit.file is not None:
        policy = read_policy(edit.file)
    named = _named_scorers(edit)
    if edit.severity is not None and not named:
        misused(
            "--severity says how severe a scorer's failures are, and no scorer is named.",
            "Add --score, --latency-ms, --feedback-below or --json-schema.",
        )
    scorers = _without(policy.scoring.scorers, edit.without)
    for scorer, field in named:
        scorers = _with(scorers, scorer, field, edit.severity)
    changed = msgspec.structs.replace(
        policy, scoring=msgspec.structs.replace(policy.scoring, scorers=tuple(scorers))
    )
    if edit.distance is not None:
        changed = msgspec.structs.replace(
            changed, dedup=msgspec.structs.replace(changed.dedup, distance=edit.distance)
        )
    redaction = redacting(changed.redaction, edit.redaction)
    return _checked(msgspec.structs.replace(changed, redaction=redaction))


def _check_bounds(edit: Edit) -> None:
    """Raise a `Problem` for a number that its option cannot have."""
    if edit.distance is not None and not 0 <= edit.distance <= _LARGEST_DISTANCE:
        misused(
            f"--distance {edit.distance:g} is not a distance.",
            "Give a number from 0 (only the same text is the same) to 2 (everything is the same).",
        )
    if edit.latency_ms is not None and not 0 < edit.latency_ms < math.inf:
        misused(
            f"--latency-ms {edit.latency_ms:g} is not a bound.",
            "Give a number of milliseconds above 0, for example --latency-ms 8000",
        )
    if edit.feedback_below is not None and not math.isfinite(edit.feedback_below):
        misused(
            f"--feedback-below {edit.feedback_below:g} is not a bound.",
            "Give a number, for example --feedback-below 3",
        )


def read_policy(path: Path) -> Policy:
    """A whole policy from a JSON or TOML file; also what `policy show --json` printed."""
    text = _read(path)
    try:
        document = (
            msgspec.toml.decode(text) if path.suffix == ".toml" else msgspec.json.decode(text)
        )
        if isinstance(document, dict) and isinstance(document.get("policy"), dict):
            document = document["policy"]
        return msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        misused(f"{path} is not a policy.", explained(error, document))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        misused(f"{path} is not a policy.", str(error))


def scorer_name(scorer: Scorer) -> str:
    """A scorer as --without names it: its name, else its kind, and for a score its signal."""
    return scorer.label


def _named_scorers(edit: Edit) -> list[tuple[Scorer, str]]:
    """The scorers that options name, each with the field that the option sets."""
    named: list[tuple[Scorer, str]] = [(_score(text), "below") for text in edit.scores]
    if edit.latency_ms is not None:
        named.append((LatencyScorer(above_ms=edit.latency_ms), "above_ms"))
    if edit.feedback_below is not None:
        named.append((FeedbackScorer(below=edit.feedback_below), "below"))
    if edit.json_schema is not None:
        named.append((_json_schema(edit.json_schema), "schema"))
    return named


def _score(text: str) -> SignalScorer:
    name, _, bound = text.rpartition("=")
    try:
        below = float(bound)
    except ValueError:
        below = math.nan
    if not name or not math.isfinite(below):
        misused(f"--score {text} is not NAME=BOUND.", "For example --score faithfulness=3")
    if len(name) > _LONGEST_NAME:
        misused(
            "--score has a name that is too long.",
            f"It has {len(name)} characters; the name of a signal has at most {_LONGEST_NAME}.",
        )
    return SignalScorer(signal=name, below=below)


def _json_schema(path: Path) -> JsonSchemaScorer:
    try:
        schema: dict[str, Any] = msgspec.json.decode(_read(path), type=dict[str, Any])
        return JsonSchemaScorer(schema=schema)
    except ValueError as error:  # msgspec's DecodeError is one too
        misused(f"{path} is not a JSON Schema.", str(error))


def _with(
    scorers: Sequence[Scorer], new: Scorer, field: str, severity: Severity | None
) -> list[Scorer]:
    """The scorers with one field set in the namesake of `new`, or with `new` at the end."""
    changes: dict[str, Any] = {field: getattr(new, field)}
    if severity is not None:
        changes["severity"] = severity
    name = scorer_name(new)
    if all(scorer_name(scorer) != name for scorer in scorers):
        return [*scorers, msgspec.structs.replace(new, **changes)]
    try:
        return [
            msgspec.structs.replace(scorer, **changes) if scorer_name(scorer) == name else scorer
            for scorer in scorers
        ]
    except (AttributeError, TypeError, ValueError) as error:
        misused(f"The scorer {name} cannot be changed like that.", f"{error}. Use --file.")


def _without(scorers: Sequence[Scorer], names: Sequence[str]) -> list[Scorer]:
    there = {scorer_name(scorer) for scorer in scorers}
    for name in names:
        if name not in there and name not in KINDS:
            misused(
                f"--without {name}: there is no such scorer in this policy.",
                f"There are: {', '.join(sorted(there)) or 'none'}",
            )
    return [scorer for scorer in scorers if scorer_name(scorer) not in names]


def _checked(policy: Policy) -> Policy:
    """The policy as it will be kept: JSON, held against every bound that its types state."""
    try:
        return msgspec.json.decode(msgspec.json.encode(policy), type=Policy)
    except msgspec.ValidationError as error:
        misused("That is not a valid policy.", str(error))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        misused(f"{path} cannot be read.", str(error.strerror))
