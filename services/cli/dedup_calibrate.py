"""`dedup calibrate`: the distance that people's answers ask for."""

import getpass
import sys
from datetime import UTC, datetime

import msgspec
import typer

from dedup.calibrate import NEEDED, Calibration, Estimate, NotEnough, Quality
from dedup.joining import REACH
from dedup.metric import NEEDED_TEXTS, MetricTrial
from dedup.used import Unused
from services.calibrating import Findings, findings
from services.cli.dedup_distance import Signed, check_narrower, check_reason
from services.cli.dedup_what_if import nothing_to_replay
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import counted, print_json, print_table
from services.cli.problem import refuse
from services.coverage import effective_distance
from services.labelling import Calibrated
from services.policy import Policy
from services.store.open import Store

_SURE = 0.9  # share of resamples from which a difference is called one


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What `dedup calibrate --json` prints. `applied`: the policy's new version, null if unchanged."""

    project: str
    space: str
    answers: int
    fit: Calibration | NotEnough
    metric: MetricTrial | None
    with_metric: float | None
    applied: int | None


def calibrate(
    project: str | None, signed: Signed, *, apply: bool, yes: bool, as_json: bool
) -> None:
    """Fit, print, and put in force where that is asked for.

    yes: also where the answers do not yet tell the distance in force and the proposed one apart.
    """
    if apply:
        check_reason(signed)
    run(_calibrated(project, signed, apply=apply, yes=yes, as_json=as_json))


def _document(found: Findings, applied: int | None) -> dict[str, object]:
    shown = Shown(
        project=found.project,
        space=found.space,
        answers=found.answers,
        fit=found.fit,
        # without its 150 thousand numbers
        metric=found.metric and msgspec.structs.replace(found.metric, metric=None),
        with_metric=found.with_metric,
        applied=applied,
    )
    document: dict[str, object] = msgspec.to_builtins(shown)
    return document


async def _calibrated(
    project: str | None, signed: Signed, *, apply: bool, yes: bool, as_json: bool
) -> None:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        version, policy = await store.policies.current(name)
        in_force = await effective_distance(store.knob, name, policy.dedup)
        found = await findings(store.knob, store.labels, name, current=in_force)
        if found is None:
            nothing_to_replay(name)
        if not as_json:
            _print(found)
            _print_adaptive(policy, in_force)
        best = _best(found)
        applied = None
        if best is not None and (in_force != best or found.geometry is not None):
            if apply:
                check_narrower(name, best, policy)
                _agreed(found, yes=yes, as_json=as_json)
                await _apply(store, found, best, version, policy, signed)
                applied = version + 1
            if not as_json:
                _print_outcome(found, best, applied)
    if as_json:
        print_json(_document(found, applied))
    if isinstance(found.fit, NotEnough):
        _refuse(found.project, found.fit)


def _agreed(found: Findings, *, yes: bool, as_json: bool) -> None:
    """Return where the answers are sure, or whoever asked wants it all the same. Raises `Problem`."""
    fit = found.fit
    if yes or isinstance(fit, NotEnough) or _sure(fit):
        return
    if as_json or not sys.stdin.isatty():
        if as_json:
            print_json(_document(found, None))
        refuse(
            f"Nothing was changed: the answers about {found.project} do not yet tell the two distances "
            "apart.",
            "More answers would (`evalratchet dedup label`). Say --yes to put the proposed distance in "
            "force all the same.",
        )
    if not typer.confirm("\nPut it in force all the same?"):
        refuse("Nothing was changed.")


def _sure(fit: Calibration) -> bool:
    """Whether the proposed distance is the one in force, or better beyond doubt."""
    return fit.proposed.distance == fit.current.distance or fit.better >= _SURE


async def _apply(
    store: Store, found: Findings, best: float, version: int, policy: Policy, signed: Signed
) -> None:
    dedup = msgspec.structs.replace(policy.dedup, distance=best)
    change = Calibrated(
        project=found.project,
        version=version,
        policy=msgspec.structs.replace(policy, dedup=dedup),
        space=found.space,
        geometry=found.geometry,
        detail=_document(found, version + 1),
        by=signed.by or getpass.getuser(),
        reason=signed.reason,
        at=datetime.now(UTC),
    )
    if not await store.calibrations.apply(change):
        refuse(
            f"The policy of {found.project}, or how its failures are compared, changed meanwhile.",
            "Nothing was changed by this command. Run it again.",
        )


def _best(found: Findings) -> float | None:
    """The distance that is proposed: the one with the metric where one was accepted."""
    if found.with_metric is not None:
        return found.with_metric
    return found.fit.proposed.distance if isinstance(found.fit, Calibration) else None


def _print(found: Findings) -> None:
    fit = found.fit
    if isinstance(fit, NotEnough):
        return
    print(
        f"{found.project}: {fit.same} pairs answered same, {fit.different} different; {fit.reported:,} "
        f"pairs known from merges and splits. {fit.texts:,} distinct texts, {fit.pairs:,} pairs."
    )
    print(_unused(fit.unused))
    rows = [_row("in force", fit.current), _row("proposed", fit.proposed)]
    columns = ["", "distance", "precision", "", "recall", "", "F1", "", "patterns"]
    print_table(columns, rows, flexible="")
    print(
        f"\nThe ranges are 95 % intervals. Precision: the share of pairs in one pattern that are the "
        f"same failure. Recall: the share of pairs of the same failure that are in one pattern; pairs "
        f"that no distance up to {fit.reach:g} joins count as different."
    )
    print(_verdict(fit))
    if found.metric is not None:
        print(_metric(found.metric, found.with_metric))


def _print_adaptive(policy: Policy, in_force: float) -> None:
    if policy.dedup.adaptive is not None:
        print(
            f"The distance follows coverage: it is {in_force:g} now and goes down to "
            f"{policy.dedup.distance:g} as more is known. What --apply changes is where it goes to."
        )


def _print_outcome(found: Findings, best: float, applied: int | None) -> None:
    if applied is not None:
        from_when = "is in force within 2 seconds, for failures decided from then on"
        if found.geometry is not None:
            from_when = "and the metric are in force, for failures decided from now on"
        print(
            f"\nVersion {applied} of the policy of {found.project}: distance {best:g} {from_when}."
        )
    else:
        print(
            f"\nNothing was changed. To put it in force: `evalratchet dedup calibrate --project "
            f'{found.project} --apply --reason "..."`. What it would do to the history: `evalratchet '
            f"dedup what-if --project {found.project} --distance {best:g}`."
        )


def _unused(unused: Unused) -> str:
    """Which answers were not used, as a line with its end; empty where all were."""
    about = {
        f"pairs beyond reach (more than {REACH:g} beyond the distance in force)": unused.beyond_reach,
        "failures that went wrong in different places, which are never one pattern": (
            unused.guards_differ
        ),
        "texts that were not looked at": unused.not_there,
    }
    some = [f"{counted(count, 'answer')} about {what}" for what, count in about.items() if count]
    return f"Not used: {'; '.join(some)}.\n" if some else ""


def _row(name: str, one: Quality) -> list[str]:
    cells = [name, f"{one.distance:g}"]
    for estimate in (one.precision, one.recall, one.f1):
        cells += [f"{estimate.value:.2f}", _range(estimate)]
    return [*cells, f"{one.patterns:,}"]


def _range(one: Estimate) -> str:
    return f"{one.low:.2f}-{one.high:.2f}"


def _verdict(fit: Calibration) -> str:
    if fit.proposed.distance == fit.current.distance:
        return "The distance in force is the best of those that were tried."
    share = f"the proposed distance is better in {fit.better:.0%} of the resamples"
    if _sure(fit):
        return f"The answers ask for another distance: {share}."
    return f"The answers do not yet tell the two apart: {share}. More answers would."


def _metric(trial: MetricTrial, distance: float | None) -> str:
    if trial.texts_missing:
        return (
            f"No metric was fitted: {trial.texts} failures are labelled the same as another one, and it "
            f"takes {NEEDED_TEXTS}."
        )
    if trial.f1_before is None or trial.f1_after is None:
        return f"No metric was fitted: {trial.why}."
    verdict = "accepted" if trial.accepted else "not accepted"
    return (
        f"A metric fitted on {trial.texts} failures of {trial.groups} kinds is {verdict}: {trial.why} "
        f"(from {trial.f1_before:.3f} to {trial.f1_after:.3f} over {trial.folds} folds)."
        + ("" if distance is None else f" With it the distance is {distance:g}.")
    )


def _refuse(project: str, few: NotEnough) -> None:
    refuse(
        "There are too few answers to say anything about the distance.",
        f"{few.same} pairs were answered same and {few.different} different; it takes {NEEDED} of "
        f"each: {few.same_missing} same and {few.different_missing} different are missing. Merges and "
        f"splits count beside them, not for them.\n{_unused(few.unused)}"
        f"Answer some: evalratchet dedup label --project {project}",
    )
