"""A trace from its spans."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from capture import conventions
from capture.conventions.messages import identifier
from capture.conventions.shape import Field, decoded
from capture.events import Span
from capture.exchange import answer_of, question_of
from capture.retelling import retell
from capture.scorers import ERROR_MESSAGE, ERROR_TYPE
from capture.spare import spare_attributes
from capture.trace import LARGEST_COUNT, Signal, Step, Trace
from capture.tree import Node, deepest, root_of, trees

_NOT_A_MODEL = frozenset({"", "unknown", "none", "null"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVALUATION_EVENT = "gen_ai.evaluation.result"


def trace_from_spans(
    project: str, trace_id: str, resource: dict[str, Any], spans: Sequence[Span]
) -> Trace:
    """The trace that these spans, each once and in order of start, tell of.

    Where the root does not say what was asked, answered or used, the model calls below it do.
    A root that ended in an error leaves `error.type` and `error.message` in the metadata, and a
    step with the error when no other step has one.
    """
    if not spans:
        return Trace(trace_id=trace_id, project=project, metadata=resource)
    nodes = trees(spans)
    root = root_of(nodes)
    said_by = [root.attributes, *(n.attributes for n in nodes if n is not root), resource]
    asked, answered = question_of(root, nodes), answer_of(root, nodes)
    steps, metadata = retell(nodes, asked, answered), spare_attributes(root, said_by, resource)
    if (error := root.error()) is not None:
        metadata[ERROR_TYPE], metadata[ERROR_MESSAGE] = error
        if not any(step.error for step in steps):
            steps.append(Step(type="assistant", name=root.span.name or None, error=error[1]))
    return Trace(
        trace_id=trace_id,
        project=project,
        environment=_text("environment", said_by),
        release=_text("release", said_by),
        model=_model(root, nodes),
        started_at=_time(root.span.start_ns),
        latency_ms=_latency_ms(root.span),
        cost_usd=_sum("cost", nodes),
        tokens_in=_count("tokens_in", nodes),
        tokens_out=_count("tokens_out", nodes),
        session_id=_text("session", said_by),
        user_id=_text("user", said_by),
        input=asked,
        output=answered,
        steps=tuple(steps),
        signals=_evaluations(nodes),
        metadata=metadata,
    )


def _model(root: Node, nodes: Sequence[Node]) -> str | None:
    """The model that answered: the last one called, else whatever model is named at all."""
    called = [node for node in nodes if node.kind == "llm"]
    for node in (*reversed(called), root, *nodes):
        for name in conventions.values(node.attributes, "model"):
            if isinstance(name, str) and name.lower() not in _NOT_A_MODEL:
                return name[:256]
    return None


def _text(field: Field, said_by: Iterable[dict[str, Any]]) -> str | None:
    found = (identifier(conventions.first(attributes, field)) for attributes in said_by)
    return next((text for text in found if text is not None), None)


def _sum(field: Field, nodes: Sequence[Node]) -> float | None:
    """The sum over the spans that count for themselves; a parent's figure includes its children's."""
    numbers = [_number(node.first(field)) for node in deepest(nodes, lambda n: _counts(n, field))]
    total = math.fsum(number for number in numbers if number is not None)
    return total if numbers else None


def _count(field: Field, nodes: Sequence[Node]) -> int | None:
    total = _sum(field, nodes)
    return None if total is None or total > LARGEST_COUNT else int(total)


def _counts(node: Node, field: Field) -> bool:
    return _number(node.first(field)) is not None


def _number(value: Any) -> float | None:
    """A number that is one, finite and not negative; some exporters send numbers as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value < float("inf") else None


def _time(nanoseconds: int) -> datetime | None:
    """Null for 0, which stands for not given, and for what no calendar has."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000) if nanoseconds else None
    except OverflowError:
        return None


def _latency_ms(span: Span) -> float | None:
    return (span.end_ns - span.start_ns) / 1e6 if span.end_ns >= span.start_ns > 0 else None


def _evaluations(nodes: Sequence[Node]) -> tuple[Signal, ...]:
    """What evaluators said in `gen_ai.evaluation.result` events."""
    signals: list[Signal] = []
    for node in nodes:
        for event in node.span.events:
            said = (event.get("attributes") or {}) if event.get("name") == _EVALUATION_EVENT else {}
            name = said.get("gen_ai.evaluation.name")
            score = _number(said.get("gen_ai.evaluation.score.value"))
            label = said.get("gen_ai.evaluation.score.label")
            value = score if score is not None else label
            if not isinstance(name, str) or not name or not isinstance(value, (int, float, str)):
                continue
            comment = decoded(said.get("gen_ai.evaluation.explanation"))
            signals.append(
                Signal(
                    name=name[:128],
                    value=value,
                    source="evaluation",
                    comment=comment if isinstance(comment, str) else None,
                )
            )
    return tuple(signals)
