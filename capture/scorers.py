"""Tells a failure from an answer: asks each scorer of a policy about a trace."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from capture.events import SEVERITIES, FailingSignal, Fault, Severity
from capture.fault import fault_of_error, fault_of_text
from capture.policy import ScoringPolicy
from capture.scoring.conditions import Condition, condition_of
from capture.scoring.endings import ERROR_MESSAGE, ERROR_TYPE, blank, request_error
from capture.scoring.scorer import (
    BaseScorer,
    Finding,
    LocalScorer,
    RemoteScorer,
    Rule,
    Said,
    Trouble,
)
from capture.trace import Trace

__all__ = [
    "ERROR_MESSAGE",
    "ERROR_TYPE",
    "Examination",
    "Problem",
    "asked_elsewhere",
    "examination",
    "examine",
    "failure_fault",
    "severity_of",
]

_KEPT_POLICIES = 256  # compiled: as many projects as one process sees at a time
_TOO_BIG_A_NAME = 128


class Problem(msgspec.Struct, frozen=True):
    """A scorer that could not say anything about a trace. `scorer` is as in a `FailingSignal`.

    It is an error of its own kind and never a failure of the application.
    """

    scorer: str
    detail: str


class Examination(msgspec.Struct, frozen=True):
    """What all scorers of a policy said about one trace."""

    signals: tuple[FailingSignal, ...]
    problems: tuple[Problem, ...] = ()


class _Local(msgspec.Struct, frozen=True):
    scorer: BaseScorer
    condition: Condition | None
    rule: Rule


class _Remote(msgspec.Struct, frozen=True):
    scorer: RemoteScorer
    condition: Condition | None


class _Compiled(msgspec.Struct, frozen=True):
    local: tuple[_Local, ...]
    remote: tuple[_Remote, ...]


Saying = tuple[BaseScorer, Sequence[Said]]
"""A scorer and what it said of a trace."""


def prepare(policy: ScoringPolicy) -> None:
    """Make a policy's scorers ready. Some load a model of a second; asking them is quick then."""
    _compiled(policy.content)


def examine(trace: Trace, policy: ScoringPolicy) -> Examination:
    """Ask every scorer that only thinks. One that raises fails no trace: it is a problem of its own."""
    said = _heard(trace, policy)
    return examination(trace, said) if said else _PASSED


def examine_with(trace: Trace, policy: ScoringPolicy, elsewhere: Iterable[Saying]) -> Examination:
    """The same, together with what scorers said that were asked elsewhere, in the policy's order."""
    said = {scorer.label: (scorer, what) for scorer, what in (*_heard(trace, policy), *elsewhere)}
    ordered = [said[one.label] for one in policy.scorers if one.label in said]
    return examination(trace, ordered) if ordered else _PASSED


def asked_elsewhere(trace: Trace, policy: ScoringPolicy) -> Sequence[RemoteScorer]:
    """The scorers that another process or a model is to be asked about this trace."""
    remote = _compiled(policy.content).remote
    if not remote:
        return ()
    return [
        one.scorer
        for one in remote
        if (one.condition is None or one.condition(trace)) and one.scorer.sampled(trace.trace_id)
    ]


def examination(trace: Trace, said: Iterable[Saying]) -> Examination:
    """What was said, as failing signals and problems."""
    signals: list[FailingSignal] = []
    problems: list[Problem] = []
    error = _explaining_fault(trace)
    for scorer, what in said:
        for one in what:
            if isinstance(one, Trouble):
                problems.append(Problem(scorer.versioned, one.detail))
            else:
                signals.append(_failing(scorer, one, error))
    return Examination(tuple(signals), tuple(problems))


def severity_of(signals: tuple[FailingSignal, ...]) -> Severity:
    """The worst severity among signals; of none at all, low."""
    return max((s.severity for s in signals), key=SEVERITIES.index, default="low")


def failure_fault(signals: Sequence[FailingSignal]) -> Fault:
    """Whose failure it is: the model's if any signal is, since that one is worth a test.

    Signals that an infrastructure error explains are infrastructure by now (`examination`), so a
    thumb down because of a 503 does not count here; a call of a tool that does not exist does, even
    if the connection broke later.
    """
    faults = {signal.fault for signal in signals}
    order: tuple[Fault, ...] = ("model", "input", "infrastructure", "unknown")
    return next((fault for fault in order if fault in faults), "unknown")


def _heard(trace: Trace, policy: ScoringPolicy) -> list[Saying]:
    """What the scorers that only think found; most traces pass, and then it is empty."""
    said: list[Saying] = []
    for one in _compiled(policy.content).local:
        try:
            if one.condition is None or one.condition(trace):
                what = one.rule(trace)
                if what:
                    said.append((one.scorer, what))
        except Exception as error:  # noqa: BLE001 - whatever a scorer does, the others are asked
            said.append((one.scorer, (Trouble(f"{type(error).__name__}: {error}"),)))
    return said


_decoder = msgspec.json.Decoder(ScoringPolicy)
_PASSED = Examination(())


@lru_cache(maxsize=_KEPT_POLICIES)
def _compiled(content: bytes) -> _Compiled:
    """The rules of a policy, made once for each content: a policy is read again every two seconds."""
    scorers = _decoder.decode(content).scorers
    return _Compiled(
        tuple(
            _Local(one, condition_of(one.when), one.rule())
            for one in scorers
            if isinstance(one, LocalScorer)
        ),
        tuple(
            _Remote(one, condition_of(one.when)) for one in scorers if isinstance(one, RemoteScorer)
        ),
    )


def _failing(scorer: BaseScorer, found: Finding, error: Fault | None) -> FailingSignal:
    return FailingSignal(
        name=found.name[:_TOO_BIG_A_NAME],
        scorer=scorer.versioned,
        severity=found.severity or scorer.severity,
        reason=found.reason,
        value=found.value,
        source=found.source,
        fault=error if error is not None and found.explained else found.fault,
    )


def _explaining_fault(trace: Trace) -> Fault | None:
    """The fault of the error that explains why the answer is bad; None when none is recognised.

    It is the error that the request ended in. A step that failed does not explain a bad answer: a
    good application copes. But where there is no answer at all, a model's call that failed last does.
    """
    if request_error(trace) is not None:
        fault = fault_of_error(trace.metadata)
    elif blank(trace.output) and trace.steps and trace.steps[-1].error:
        last = trace.steps[-1]
        if last.type != "assistant" or not isinstance(last.error, str):
            return None
        fault = fault_of_text(last.error)
    else:
        return None
    return fault if fault in {"infrastructure", "input"} else None
