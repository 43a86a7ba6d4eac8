"""OpenInference: https://github.com/Arize-ai/openinference/tree/main/spec."""

from capture.conventions.shape import Convention, one_of

CONVENTION = Convention(
    fields={
        "input": ("input.value",),
        "output": ("output.value",),
        "input_messages": ("llm.input_messages.*", "llm.prompts.*", "llm.prompts"),
        "output_messages": ("llm.output_messages.*", "llm.choices.*", "llm.completions.*"),
        "model": (
            "llm.response.model_name",
            "llm.model_name",
            "llm.request.model_name",
            "embedding.model_name",
        ),
        "tokens_in": ("llm.token_count.prompt",),
        "tokens_out": ("llm.token_count.completion",),
        "cost": ("llm.cost.total",),
        "session": ("session.id",),
        "user": ("user.id",),
        "tool_name": ("tool.name",),
        "call_id": ("tool_call.id", "tool.id"),
        "arguments": ("tool.parameters", "tool_call.function.arguments", "reranker.query"),
        "documents": ("retrieval.documents.*", "reranker.output_documents.*"),
        "tools": ("llm.tools.*", "llm.tools", "llm.invocation_parameters#tools"),
        "finish_reason": ("llm.finish_reason",),
    },
    prefixes=(
        "llm.input_messages.",
        "llm.output_messages.",
        "llm.prompts.",
        "llm.completions.",
        "llm.choices.",
        "llm.tools.",
        "llm.token_count.",
        "llm.cost.",
        "retrieval.documents.",
        "reranker.",
        "embedding.embeddings.",
    ),
    bulky=frozenset({"input.mime_type", "output.mime_type", "tool.description"}),
    kinds={
        "openinference.span.kind": one_of(
            {
                "llm": "llm",
                "tool": "tool",
                "retriever": "retrieval",
                "reranker": "retrieval",
                "embedding": "embedding",
                "agent": "agent",
                "chain": "chain",
                "guardrail": "chain",
                "evaluator": "chain",
                "prompt": "chain",
                "decision": "chain",
            }
        )
    },
)
