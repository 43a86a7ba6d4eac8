"""LangSmith's SDK with LANGSMITH_OTEL_ENABLED, and OpenTelemetry spans meant for LangSmith.

https://docs.langchain.com/langsmith/trace-with-opentelemetry. Every run, be it a model's, a tool's or
a chain's, has its inputs in `gen_ai.prompt` and its outputs in `gen_ai.completion`, and a retriever
calls its operation `embeddings`: so this convention's word on what a span is comes first.
"""

from capture.conventions.shape import Convention, one_of

CONVENTION = Convention(
    fields={
        "input": ("gen_ai.prompt",),
        "output": ("gen_ai.completion",),
        "session": (
            "langsmith.metadata.session_id",
            "langsmith.metadata.thread_id",
            "langsmith.metadata.conversation_id",
        ),
        "user": ("langsmith.metadata.user_id",),
        "model": ("langsmith.metadata.ls_model_name",),
        "environment": ("langsmith.metadata.environment",),
        "release": ("langsmith.metadata.revision_id",),
    },
    prefixes=("langsmith.metadata.ls_", "langsmith.metadata.LANGSMITH_", "gen_ai.serialized."),
    bulky=frozenset(
        {
            "langsmith.span.runtime",
            "langsmith.trace.session_id",
            "langsmith.metadata.usage_metadata",
            "langsmith.internal_provider",
            "gen_ai.usage.total_tokens",
        }
    ),
    kinds={
        "langsmith.span.kind": one_of(
            {
                "llm": "llm",
                "tool": "tool",
                "retriever": "retrieval",
                "embedding": "embedding",
                "chain": "chain",
                "prompt": "chain",
                "parser": "chain",
            }
        )
    },
)
