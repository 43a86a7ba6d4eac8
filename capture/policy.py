"""Which traces count as failures, as data: a project's scorers and their bounds."""

from typing import Annotated, Any

import jsonschema
import msgspec

from capture.events import Severity
from capture.trace import SignalName

Milliseconds = Annotated[float, msgspec.Meta(gt=0)]


class ErrorScorer(
    msgspec.Struct, frozen=True, kw_only=True, tag="error", forbid_unknown_fields=True
):
    """Fails a trace that ended in an error and, where `step_severity` is set, one with a failed step.

    A failed step alone says little: a tool that answers "no seats left" did its work, and an agent
    that answers well after it did too. On the recorded airline sessions 7 of the 31 that resolved
    their task have one.
    """

    severity: Severity = "high"
    step_severity: Severity | None = None


class LatencyScorer(
    msgspec.Struct, frozen=True, kw_only=True, tag="latency", forbid_unknown_fields=True
):
    """Fails a trace that took longer than `above_ms` milliseconds."""

    above_ms: Milliseconds
    severity: Severity = "medium"


class FeedbackScorer(
    msgspec.Struct, frozen=True, kw_only=True, tag="feedback", forbid_unknown_fields=True
):
    """Fails a trace that a user was unhappy with: false, a number below `below`, or a bad label.

    0.5 separates the two ends of every scale that runs from 0 to 1, thumbs included; a project
    whose users give one to five stars sets 3.
    """

    below: float = 0.5
    severity: Severity = "high"


class SignalScorer(
    msgspec.Struct, frozen=True, kw_only=True, tag="score", forbid_unknown_fields=True
):
    """Fails a trace whose signal of this name is below `below`; false is 0 and true is 1."""

    signal: SignalName
    below: float
    severity: Severity = "high"


class JsonSchemaScorer(
    msgspec.Struct, frozen=True, kw_only=True, tag="json_schema", forbid_unknown_fields=True
):
    """Fails a trace whose output is not JSON, or not as this JSON Schema asks.

    Raises:
        ValueError: the schema is not itself a valid schema; the message says where.
    """

    schema: dict[str, Any]
    severity: Severity = "high"

    def __post_init__(self) -> None:
        """Refuse a schema that could never be checked against."""
        checker = jsonschema.validators.validator_for(
            self.schema, default=jsonschema.Draft202012Validator
        )
        try:
            checker.check_schema(self.schema)
        except jsonschema.SchemaError as error:
            message = f"not a valid JSON Schema at {error.json_path}: {error.message}"
            raise ValueError(message) from error


Scorer = ErrorScorer | LatencyScorer | FeedbackScorer | SignalScorer | JsonSchemaScorer

DEFAULT_SCORERS: tuple[Scorer, ...] = (
    # An exception reached the user: nobody has to be asked whether that was right.
    ErrorScorer(),
    # Half a minute is where people leave a page that does not answer; a project that works in the
    # background raises it, a chat lowers it. Redo: the 99th percentile of the project's own traces.
    LatencyScorer(above_ms=30_000),
    # A thumb down is the cheapest label there is, and it is about this very answer.
    FeedbackScorer(),
    # The application's own word on whether it did what it was asked: anything short of all of it.
    SignalScorer(signal="task_resolved", below=1),
)


class ScoringPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project's scorers. Every one of them is asked about every trace."""

    scorers: tuple[Scorer, ...] = DEFAULT_SCORERS
