"""From a pattern's representative to a case."""

from datetime import datetime

from capture.events import SEVERITIES
from capture.ids import derive_id
from grade.events import Graded
from promote.case import Case, CaseSet, CaseSignal, Provenance, WaitsFor
from promote.policy import PromotionPolicy


def is_representative(graded: Graded) -> bool:
    """Whether this failure is the one its pattern keeps."""
    return graded.assignment.decided_by == "first"


def chosen_set(graded: Graded, policy: PromotionPolicy) -> tuple[CaseSet, WaitsFor | None]:
    """The set of the first rule that fits, else the backlog, waiting for a review."""
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
            )
            for signal in signals
        ),
        provenance=_provenance(graded),
        created_at=now,
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
