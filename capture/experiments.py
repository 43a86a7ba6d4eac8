"""Eval, experiment and gate traffic, by the marks that evaluation tools leave on their traces.

Evals never feed themselves: such a trace is kept and never becomes a failure.
"""

import re
from collections.abc import Mapping
from typing import Any

from capture.trace import Trace

GATE_MARKER = "evalratchet.run"
"""Metadata of a trace that was made by one of our own runs, and names the run."""

MARKERS = (
    GATE_MARKER,
    "langfuse.experiment.",  # the Python and JS SDKs' `run_experiment`: .id, .name, .item.id, ...
    "langsmith.reference_example_id",  # LangSmith: the dataset example that a run answers
    "mlflow.eval.requestId",  # MLflow's `evaluate`, a tag of the trace
    "braintrust.parent",  # Braintrust's span processors: `experiment_id:...` or `project_name:...`
)
"""Attributes that decide whether a trace may become a failure, or begin the names of such."""

_ENVIRONMENTS = frozenset(
    {
        *("evaluation", "evaluations", "eval", "evals", "experiment", "experiments"),
        "sdk-experiment",  # Langfuse's SDKs set it for what runs inside an experiment
    }
)
_BRAINTRUST, _BRAINTRUST_EXPERIMENT = "braintrust.parent", "experiment_"
# Phoenix's `run_experiment` sends its spans to a project of this name (96 random bits)
_PHOENIX_PROJECT = re.compile(r"Experiment-[0-9a-f]{24}")
_PHOENIX_ATTRIBUTE = "openinference.project.name"


def is_experiment(trace: Trace) -> bool:
    """Whether a trace is eval, experiment or gate traffic."""
    if (trace.environment or "").strip().lower() in _ENVIRONMENTS:
        return True
    if _PHOENIX_PROJECT.fullmatch(trace.project):
        return True
    return bool(trace.metadata) and _marked(trace.metadata)


def _marked(metadata: Mapping[str, Any]) -> bool:
    parent, phoenix = metadata.get(_BRAINTRUST), metadata.get(_PHOENIX_ATTRIBUTE)
    if isinstance(parent, str) and parent.startswith(_BRAINTRUST_EXPERIMENT):
        return True
    if isinstance(phoenix, str) and _PHOENIX_PROJECT.fullmatch(phoenix):
        return True
    return any(
        name.startswith(("langfuse.experiment.", "langsmith.reference_example_id"))
        or name in (GATE_MARKER, "mlflow.eval.requestId")
        or name.endswith("." + GATE_MARKER)
        for name in metadata
    )
