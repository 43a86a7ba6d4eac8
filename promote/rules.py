"""From a pattern's representative to a case."""

from datetime import datetime

import msgspec

from capture.events import SEVERITIES
from capture.ids import derive_id
from grade.events import Graded
from promote.case import Case, CaseSet, CaseSignal, Provenance, WaitsFor
from promote.policy import PromotionPolicy


def is_representative(graded: Graded) -> bool:
    """Whether this failure is the one its pattern keeps."""
    return graded.assignment.decided_by == "first"


def is_promotable(graded: Graded) -> bool:
    """Whether a case may be made of this failure: an outage is counted, and worth no test."""
    return graded.failure.fault != "infrastructure"


def chosen_set(graded: Graded, policy: PromotionPolicy) -> tuple[CaseSet, WaitsFor | None]:
    """The set of the first rule that fits, else the backlog, waiting for a review.

    The rules decide about failures of the model alone. Where the input is at fault, or nobody knows
    what is, a person decides.
    """
    if graded.failure.fault != "model":
        return "backlog", "review"
    rank = SEVERITIES.index(graded.grade.severity)
    for rule in policy.rules:
        severe = rank >= SEVERITIES.index(rule.min_severity)
        if severe and graded.grade.weight >= rule.min_weight:
            waits_for = rule.waits_for or ("review" if rule.set == "backlog" else None)
            return rule.set, waits_for
    return "backlog", "review"


def make_case(graded: Graded, policy: PromotionPolicy, *, now: datetime) -> Case:
    """The case of a pattern, from its representative. `now` is the server's time in UTC.

    The failing output goes into `failing_output`; `expected` stays empty until a person gives it.
    """
    trace, grade, signals = graded.failure.trace, graded.grade, graded.failure.signals
    pattern_id = graded.assignment.pattern_id
    case_set, waits_for = chosen_set(graded, policy)
    tags = [f"severity:{grade.severity}"]
    tags += [f"signal:{name}" for name in dict.fromkeys(signal.name for signal in signals)]
    if graded.failure.fault != "model":
        tags.append(f"fault:{graded.failure.fault}")
    tags += [
        f"{name}:{value}"
        for name in ("environment", "release", "model")
        if (value := getattr(trace, name)) is not None
    ]
    return Case(
        case_id=derive_id("case", trace.project, pattern_id)[:16],
        project=trace.project,
        pattern_id=pattern_id,
        set=case_set,
        waits_for=waits_for,
        input=trace.input,
        steps=trace.steps,
        failing_output=trace.output,
        label=_worst(graded),
        severity=grade.severity,
        weight=grade.weight,
        components=grade.components,
        tags=tuple(tags),
        signals=tuple(
            CaseSignal(
                name=signal.name,
                reason=signal.reason,
                severity=signal.severity,
                value=signal.value,
                source=signal.source,
                fault=signal.fault,
            )
            for signal in signals
        ),
        provenance=_provenance(graded),
        created_at=now,
    )


def raised(kept: Case, told_again: Case) -> Case | None:
    """The kept case, changed by what the failure it was made of was told again with; None: as it is.

    Only a graver telling changes it. The set stays where a person chose it, and so does all that
    people added. It never goes down: a policy that changed since may be less sure whose fault it is.
    """
    if SEVERITIES.index(told_again.severity) <= SEVERITIES.index(kept.severity):
        return None
    lower = kept.set != "backlog" and told_again.set == "backlog"
    theirs = kept if lower or kept.set_by is not None else told_again
    return msgspec.structs.replace(
        told_again,
        case_id=kept.case_id,
        pattern_id=kept.pattern_id,
        created_at=kept.created_at,
        expected=kept.expected,
        set=theirs.set,
        waits_for=theirs.waits_for,
        set_by=kept.set_by,
    )


def _worst(graded: Graded) -> str:
    """The name of the most severe failing signal: what the case is about, in a word."""
    signals = graded.failure.signals
    return max(signals, key=lambda signal: SEVERITIES.index(signal.severity)).name


def _provenance(graded: Graded) -> Provenance:
    trace, failure = graded.failure.trace, graded.failure
    return Provenance(
        trace_id=trace.trace_id,
        event_id=failure.event_id,
        pattern_id=graded.assignment.pattern_id,
        failed_at=failure.failed_at,
        started_at=trace.started_at,
        environment=trace.environment,
        release=trace.release,
        model=trace.model,
        session_id=trace.session_id,
        scorers=tuple(dict.fromkeys(signal.scorer for signal in failure.signals)),
        embedding_space=graded.assignment.embedding_space,
    )
