"""A trace from its spans."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from capture import conventions
from capture.conventions.finish import reason_in
from capture.conventions.messages import identifier
from capture.conventions.reading import Said
from capture.conventions.shape import Field
from capture.conventions.tools import tools_of
from capture.evaluations import is_evaluation, signal_of
from capture.events import Span
from capture.exchange import answer_of, question_of
from capture.retelling import retell
from capture.scorers import ERROR_MESSAGE, ERROR_TYPE
from capture.spare import spare_attributes
from capture.trace import LARGEST_COUNT, Signal, Step, Trace
from capture.tree import Node, deepest, root_of, trees

_NOT_A_MODEL = frozenset({"", "unknown", "none", "null"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trace_from_spans(
    project: str, trace_id: str, resource: dict[str, Any], spans: Sequence[Span]
) -> Trace:
    """The trace that these spans, each once and in order of start, tell of.

    Where the root does not say what was asked, answered or used, the model calls below it do.
    A root that ended in an error leaves `error.type` and `error.message` in the metadata, and a
    step with the error when no other step has one. `tools` in the metadata are those that a model
    was offered, `finish_reason` is why the last model that was called stopped.
    """
    if not spans:
        return Trace(trace_id=trace_id, project=project, metadata=resource)
    nodes = trees(spans)
    root = root_of(nodes)
    said_by = [root.said, *(n.said for n in nodes if n is not root), conventions.said(resource)]
    asked, answered = question_of(root, nodes), answer_of(root, nodes)
    steps, metadata = retell(nodes, asked, answered), spare_attributes(root, said_by)
    if tools := _offered(nodes):
        metadata["tools"] = tools
    if (reason := _finish_reason(nodes)) is not None:
        metadata["finish_reason"] = reason
    if (error := root.error) is not None:
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
        for name in node.said.values("model"):
            if isinstance(name, str) and name.lower() not in _NOT_A_MODEL:
                return name[:256]
    return None


def _text(field: Field, said_by: Iterable[Said]) -> str | None:
    for said in said_by:
        if field in said.sources and (text := identifier(said.first(field))) is not None:
            return text
    return None


def _sum(field: Field, nodes: Sequence[Node]) -> float | None:
    """The sum over the spans that count for themselves; a parent's figure includes its children's."""
    numbers: dict[int, float] = {}
    saying = []
    for node in nodes:
        if field in node.said.sources and (number := _number(node.first(field))) is not None:
            numbers[id(node)] = number
            saying.append(node)
    if not saying:
        return None
    try:
        return math.fsum(numbers[id(node)] for node in deepest(saying))
    except OverflowError:  # numbers of 1e308 each
        return None


def _count(field: Field, nodes: Sequence[Node]) -> int | None:
    total = _sum(field, nodes)
    return None if total is None or total > LARGEST_COUNT else int(total)


def _number(value: Any) -> float | None:
    """A number that is one, finite and not negative; some exporters send numbers as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # no number, or an integer of 400 digits
        return None
    return number if 0 <= number < math.inf else None


def _time(nanoseconds: int) -> datetime | None:
    """Null for 0, which stands for not given, and for what no calendar has."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000) if nanoseconds else None
    except OverflowError:
        return None


def _latency_ms(span: Span) -> float | None:
    return (span.end_ns - span.start_ns) / 1e6 if span.end_ns >= span.start_ns > 0 else None


def _evaluations(nodes: Sequence[Node]) -> tuple[Signal, ...]:
    """What evaluators said in events of spans; an event that says nothing is passed over."""
    signals: list[Signal] = []
    for node in nodes:
        for event in node.span.events:
            if is_evaluation(name := event.get("name")):
                with contextlib.suppress(ValueError):
                    signals.append(signal_of(str(name), event.get("attributes") or {}))
    return tuple(signals)


def _offered(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    return tools_of(_once_each(nodes, "tools"))


def _once_each(nodes: Sequence[Node], field: Field) -> Iterator[Any]:
    """A field's values; text that another span has too, which every call of an agent has, once."""
    seen: set[str] = set()
    for node in nodes:
        for source in node.said.sources.get(field, ()):
            text = node.said.attributes.get(source.attribute)
            if isinstance(text, str):
                if text in seen:
                    continue
                seen.add(text)
            yield node.said.value(source)


def _finish_reason(nodes: Sequence[Node]) -> str | None:
    """Why the last model that was called stopped."""
    last = next((node for node in reversed(nodes) if node.kind == "llm"), None)
    if last is None:
        return None
    reason = reason_in(last.first("finish_reason"))
    if reason is None:
        answers = (last.said.values("output_messages"), last.said.values("output"))
        found = (reason_in(value, 1) for values in answers for value in values)
        reason = next((reason for reason in found if reason is not None), None)
    return reason
