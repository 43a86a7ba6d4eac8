"""OpenInference: https://github.com/Arize-ai/openinference/tree/main/spec."""

from capture.conventions.shape import Attributes, Convention, Kind

_KINDS: dict[str, Kind] = {
    "LLM": "llm",
    "TOOL": "tool",
    "RETRIEVER": "retrieval",
    "RERANKER": "retrieval",
    "EMBEDDING": "embedding",
    "AGENT": "agent",
    "CHAIN": "chain",
    "GUARDRAIL": "chain",
    "EVALUATOR": "chain",
}


def _kind(attributes: Attributes) -> Kind | None:
    return _KINDS.get(str(attributes.get("openinference.span.kind")).upper())


CONVENTION = Convention(
    fields={
        "input": ("input.value",),
        "output": ("output.value",),
        "input_messages": ("llm.input_messages.*", "llm.prompts.*", "llm.prompts"),
        "output_messages": ("llm.output_messages.*", "llm.completions.*"),
        "model": ("llm.model_name", "embedding.model_name"),
        "tokens_in": ("llm.token_count.prompt",),
        "tokens_out": ("llm.token_count.completion",),
        "cost": ("llm.cost.total",),
        "session": ("session.id",),
        "user": ("user.id",),
        "tool_name": ("tool.name",),
        "call_id": ("tool_call.id", "tool.id"),
        "arguments": ("tool.parameters", "tool_call.function.arguments"),
        "documents": ("retrieval.documents.*", "reranker.output_documents.*"),
    },
    prefixes=(
        "llm.input_messages.",
        "llm.output_messages.",
        "llm.prompts.",
        "llm.completions.",
        "llm.tools.",
        "retrieval.documents.",
        "reranker.",
        "embedding.embeddings.",
    ),
    bulky=frozenset({"input.mime_type", "output.mime_type", "llm.tools", "tool.description"}),
    kind=_kind,
)
