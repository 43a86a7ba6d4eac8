"""Tells a failure from an answer: asks each scorer of a policy about a trace."""

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import jsonschema
import msgspec
import referencing

from capture.events import SEVERITIES, FailingSignal, Severity
from capture.policy import (
    ErrorScorer,
    FeedbackScorer,
    JsonSchemaScorer,
    LatencyScorer,
    Scorer,
    ScoringPolicy,
    SignalScorer,
)
from capture.trace import Signal, Trace, content_text

GATE_MARKER = "evalratchet.run"
"""Metadata of a trace that was made by one of our own runs, and names the run."""

ERROR_TYPE = "error.type"
ERROR_MESSAGE = "error.message"
"""Metadata of a trace that ended in an error, as OpenTelemetry names them."""

_ERROR_KEYS = (ERROR_MESSAGE, ERROR_TYPE, "error")
_EXPERIMENT_PREFIX = "langfuse.experiment."
_EXPERIMENT_ENVIRONMENTS = frozenset(
    {"evaluation", "evaluations", "eval", "evals", "experiment", "experiments", "sdk-experiment"}
)
_USER_SOURCES = frozenset({"user", "end_user", "end-user", "enduser"})
_USER_NAMES = frozenset(
    {
        "feedback",
        "user_feedback",
        "user-feedback",
        "thumb",
        "thumbs",
        "thumbs_up",
        "thumbs-up",
        "user_rating",
        "user-rating",
    }
)
_UNHAPPY_NAMES = frozenset({"thumbs_down", "thumbs-down"})
_UNHAPPY_LABELS = frozenset(
    {
        "down",
        "thumbs_down",
        "thumbs-down",
        "thumbsdown",
        "👎",
        "negative",
        "bad",
        "poor",
        "dislike",
        "disliked",
        "unhelpful",
        "not_helpful",
        "incorrect",
        "wrong",
        "false",
        "no",
    }
)
_SHOWN_CHARACTERS = 300  # of a foreign message inside a reason: a sentence or two


class Problem(msgspec.Struct, frozen=True):
    """A scorer that could not say anything about a trace. `scorer` is as in a `FailingSignal`."""

    scorer: str
    detail: str


class Examination(msgspec.Struct, frozen=True):
    """What all scorers of a policy said about one trace."""

    signals: tuple[FailingSignal, ...]
    problems: tuple[Problem, ...] = ()


def examine(trace: Trace, policy: ScoringPolicy) -> Examination:
    """Ask every scorer. One that raises fails no trace: it is a problem of its own."""
    signals: list[FailingSignal] = []
    problems: list[Problem] = []
    for scorer in policy.scorers:
        try:
            signals.extend(_failings(scorer, trace))
        except Exception as error:  # noqa: BLE001 - whatever a scorer does, the others are asked
            problems.append(Problem(_version(scorer), f"{type(error).__name__}: {error}"))
    return Examination(tuple(signals), tuple(problems))


def severity_of(signals: tuple[FailingSignal, ...]) -> Severity:
    """The worst severity among signals; of none at all, low."""
    return max((s.severity for s in signals), key=SEVERITIES.index, default="low")


def is_experiment(trace: Trace) -> bool:
    """Whether a trace is eval, experiment or gate traffic: evals never feed themselves."""
    if (trace.environment or "").strip().lower() in _EXPERIMENT_ENVIRONMENTS:
        return True
    return any(
        key.startswith(_EXPERIMENT_PREFIX) or key == GATE_MARKER or key.endswith("." + GATE_MARKER)
        for key in trace.metadata
    )


@singledispatch
def _failings(scorer: Scorer, trace: Trace) -> Iterator[FailingSignal]:
    message = f"no rule for {type(scorer).__name__} on {trace.trace_id}"
    raise AssertionError(message)


@_failings.register
def _(scorer: ErrorScorer, trace: Trace) -> Iterator[FailingSignal]:
    said = next((trace.metadata[key] for key in _ERROR_KEYS if trace.metadata.get(key)), None)
    if said is not None:
        kind = trace.metadata.get(ERROR_TYPE)
        text = _shown(said if said is not True else "no message was given")
        named = f"{kind}: " if kind and kind != said else ""
        reason = f"The request ended in an error: {named}{text}"
        yield _failing(scorer, _own("error", str(kind or text)), scorer.severity, reason)
        return
    failed = [step for step in trace.steps if step.error]
    if failed and scorer.step_severity is not None:
        last = failed[-1]
        what = f"{last.type} {last.name!r}" if last.name else last.type
        detail = last.error if isinstance(last.error, str) else content_text(last.content)
        others = f" ({len(failed)} steps failed in all)" if len(failed) > 1 else ""
        reason = f"The step {what} ended in an error{others}: {_shown(detail) or 'no message'}"
        yield _failing(scorer, _own("error", _shown(detail) or what), scorer.step_severity, reason)


@_failings.register
def _(scorer: LatencyScorer, trace: Trace) -> Iterator[FailingSignal]:
    took = trace.latency_ms
    if took is not None and took > scorer.above_ms:
        reason = (
            f"The answer took {_number(took)} ms, above the bound of {_number(scorer.above_ms)} ms."
        )
        yield _failing(scorer, _own("latency", took), scorer.severity, reason)


@_failings.register
def _(scorer: FeedbackScorer, trace: Trace) -> Iterator[FailingSignal]:
    for signal in _last_words(trace):
        name = signal.name.lower()
        if not (signal.source.lower() in _USER_SOURCES or name in _USER_NAMES | _UNHAPPY_NAMES):
            continue
        problem = _unhappiness(signal, name, scorer.below)
        if problem:
            comment = f" The comment: {_shown(signal.comment)}" if signal.comment else ""
            reason = f"The {signal.source} gave {signal.name} = {problem}.{comment}"
            yield _failing(scorer, signal, scorer.severity, reason)


@_failings.register
def _(scorer: SignalScorer, trace: Trace) -> Iterator[FailingSignal]:
    for signal in _last_words(trace):
        value = signal.value
        if signal.name != scorer.signal or value is None or isinstance(value, str):
            continue
        if float(value) < scorer.below:
            reason = (
                f"{signal.name} is {_value(value)}, below the bound of {_number(scorer.below)}"
                f" (said by {signal.source})."
            )
            yield _failing(scorer, signal, scorer.severity, reason)


@_failings.register
def _(scorer: JsonSchemaScorer, trace: Trace) -> Iterator[FailingSignal]:
    output: Any = trace.output
    if isinstance(output, str):
        try:
            output = msgspec.json.decode(output)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = f"The output is not JSON: {error}."
            yield _failing(scorer, _own("json_schema", "not JSON"), scorer.severity, reason)
            return
    checker = jsonschema.validators.validator_for(
        scorer.schema, default=jsonschema.Draft202012Validator
    )
    # An empty registry: a schema that refers to another address is a problem, never a download.
    validator = checker(scorer.schema, registry=referencing.Registry())
    broken = jsonschema.exceptions.best_match(validator.iter_errors(output))
    if broken is not None:
        reason = (
            f"The output breaks its JSON Schema at {broken.json_path}: {_shown(broken.message)}."
        )
        yield _failing(scorer, _own("json_schema", broken.json_path), scorer.severity, reason)


def _unhappiness(signal: Signal, name: str, below: float) -> str | None:
    """What in a user's signal says that they were unhappy, with the bound it crossed."""
    value = signal.value
    if name in _UNHAPPY_NAMES:  # here the name is the verdict, and false or 0 takes it back
        taken_back = value is False or value == 0
        return None if taken_back else f"{_value(value)}"
    if value is False:
        return "false"
    if isinstance(value, str):
        label = value.strip().lower().replace(" ", "_")
        return f"{_shown(value)!r}" if label in _UNHAPPY_LABELS else None
    if isinstance(value, (int, float)) and value < below:
        return f"{_number(value)}, below the bound of {_number(below)}"
    return None


def _last_words(trace: Trace) -> list[Signal]:
    """The signals that count: of one name from one source, the last. People change their minds."""
    return list({(signal.name, signal.source): signal for signal in trace.signals}.values())


def _failing(scorer: Scorer, said: Signal, severity: Severity, reason: str) -> FailingSignal:
    return FailingSignal(
        name=said.name,
        scorer=_version(scorer),
        severity=severity,
        reason=reason,
        value=said.value,
        source=said.source,
    )


def _own(name: str, value: float | str) -> Signal:
    return Signal(name=name, value=value, source="scorer")


def _version(scorer: Scorer) -> str:
    """The scorer's name and the version of its rule; the version rises when the rule changes."""
    return f"{scorer.__struct_config__.tag}/1"


def _value(value: bool | float | str | None) -> str:  # noqa: FBT001 - as above
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "given"}[value]
    return repr(_shown(value)) if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}"  # noqa: PLR2004 - %g turns to exponents


def _shown(text: object) -> str:
    shown = " ".join(str(text).split()) if text is not None else ""
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"
