"""What evaluators and users said in OpenTelemetry events, as signals.

The conventions have one event, `gen_ai.evaluation.result`
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/). Before it, Azure AI had one for
each measure, `gen_ai.evaluation.<name>` with `gen_ai.evaluation.score`, and
`gen_ai.evaluation.user_feedback` for what a user clicked; both are still sent.
"""

import math
from collections.abc import Mapping
from typing import Any

from capture.conventions.shape import decoded
from capture.trace import Signal

RESULT_EVENT = "gen_ai.evaluation.result"
USER_EVENTS = frozenset({"gen_ai.evaluation.user_feedback", "gen_ai.user.feedback"})
_EVALUATIONS = "gen_ai.evaluation."
_SCORES = ("gen_ai.evaluation.score.value", "gen_ai.evaluation.score", "score", "feedback.rating")
_LABELS = ("gen_ai.evaluation.score.label", "gen_ai.evaluation.label", "label")
_COMMENTS = (
    "gen_ai.evaluation.explanation",
    "gen_ai.evaluation.comment",
    "explanation",
    "comment",
    "feedback.comment",
)
_LONGEST_NAME = 128


def is_evaluation(event: object) -> bool:
    """Whether an event of this name is somebody's verdict."""
    return isinstance(event, str) and (event.startswith(_EVALUATIONS) or event in USER_EVENTS)


def signal_of(event: str, said: Mapping[str, Any]) -> Signal:
    """The verdict in an event, whose attributes and body are `said`.

    Raises:
        ValueError: the event has no name to give the signal, or says nothing.
    """
    name = _name(event, said)
    score, label, comment = _score(said), _text(said, _LABELS), _text(said, _COMMENTS)
    if score is None and label is None and comment is None:
        message = (
            f"the event {event} says nothing: it needs gen_ai.evaluation.score.value, "
            "gen_ai.evaluation.score.label or gen_ai.evaluation.explanation"
        )
        raise ValueError(message)
    return Signal(
        name=name,
        value=score if score is not None else label,
        label=label if score is not None else None,
        source="user" if event in USER_EVENTS else "evaluation",
        comment=comment,
    )


def _name(event: str, said: Mapping[str, Any]) -> str:
    name = said.get("gen_ai.evaluation.name")
    if name is None and event in USER_EVENTS:
        name = "user_feedback"
    elif name is None and event != RESULT_EVENT:
        name = event.removeprefix(_EVALUATIONS)
    if not isinstance(name, str) or not name.strip():
        message = f"the event {event} has no gen_ai.evaluation.name"
        raise ValueError(message)
    return name[:_LONGEST_NAME]


def _score(said: Mapping[str, Any]) -> bool | float | None:
    """A number; some exporters send numbers as text."""
    for key in _SCORES:
        value = said.get(key)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, (bool, int, float)) and math.isfinite(value):
            return value
    return None


def _text(said: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = decoded(said.get(key))
        if isinstance(value, str) and value:
            return value
    return None
