"""MLflow tracing: values are JSON in strings. https://mlflow.org/docs/latest/genai/tracing/."""

from capture.conventions.shape import Convention, one_of

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
        "tools": ("mlflow.chat.tools",),
    },
    bulky=frozenset(
        {
            "mlflow.traceRequestId",
            "mlflow.spanFunctionName",
            "mlflow.spanStartTimeNs",
            "mlflow.message.format",
        }
    ),
    kinds={
        "mlflow.spanType": one_of(
            {
                "llm": "llm",
                "chat_model": "llm",
                "tool": "tool",
                "retriever": "retrieval",
                "reranker": "retrieval",
                "embedding": "embedding",
                "agent": "agent",
                "chain": "chain",
                "workflow": "chain",
                "task": "chain",
            }
        )
    },
)
