"""OpenLLMetry (Traceloop), whose model spans are the GenAI forms and read there.

https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai.
"""

from capture.conventions.shape import Convention, one_of

CONVENTION = Convention(
    fields={
        "input": ("traceloop.entity.input#inputs", "traceloop.entity.input"),
        "output": ("traceloop.entity.output#outputs", "traceloop.entity.output"),
        "model": ("llm.response.model", "llm.request.model"),
        "tokens_in": ("llm.usage.prompt_tokens",),
        "tokens_out": ("llm.usage.completion_tokens",),
        "session": (
            "traceloop.association.properties.session_id",
            "traceloop.association.properties.conversation_id",
            "traceloop.association.properties.chat_id",
        ),
        "user": ("traceloop.association.properties.user_id", "llm.user"),
        "tools": ("llm.request.functions.*",),
        "finish_reason": ("llm.response.finish_reason", "llm.response.stop_reason"),
    },
    prefixes=("llm.request.functions.", "llm.usage."),
    kinds={
        "traceloop.span.kind": one_of(
            {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool"}
        ),
        "llm.request.type": one_of(
            {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retrieval"}
        ),
        # A vector store's span: chroma, qdrant, pinecone, milvus, ...
        "db.vector.query.top_k": lambda _: "retrieval",
    },
)
