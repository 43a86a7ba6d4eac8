"""MLflow tracing: values are JSON in strings. https://mlflow.org/docs/latest/genai/tracing/."""

from capture.conventions.shape import Attributes, Convention, Kind, decoded

_KINDS: dict[str, Kind] = {
    "LLM": "llm",
    "CHAT_MODEL": "llm",
    "TOOL": "tool",
    "RETRIEVER": "retrieval",
    "RERANKER": "retrieval",
    "EMBEDDING": "embedding",
    "AGENT": "agent",
    "CHAIN": "chain",
    "WORKFLOW": "chain",
    "TASK": "chain",
}


def _kind(attributes: Attributes) -> Kind | None:
    return _KINDS.get(str(decoded(attributes.get("mlflow.spanType"))).upper())


CONVENTION = Convention(
    fields={
        "input": ("mlflow.spanInputs",),
        "output": ("mlflow.spanOutputs",),
        "model": ("mlflow.llm.model", "mlflow.chat.model"),
        "tokens_in": ("mlflow.chat.tokenUsage#input_tokens",),
        "tokens_out": ("mlflow.chat.tokenUsage#output_tokens",),
        "cost": ("mlflow.llm.cost#total_cost",),
        "session": ("mlflow.trace.session",),
        "user": ("mlflow.trace.user",),
    },
    bulky=frozenset({"mlflow.chat.tools", "mlflow.traceRequestId", "mlflow.spanFunctionName"}),
    kind=_kind,
)
