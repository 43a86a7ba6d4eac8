"""The Vercel AI SDK, 3 to 6: https://ai-sdk.dev/docs/ai-sdk-core/telemetry.

From 7 on its spans have the GenAI conventions' names (package @ai-sdk/otel).
"""

from typing import Any

from capture.conventions.shape import Convention, Kind


def _kind(operation: Any) -> Kind | None:
    if not isinstance(operation, str) or not operation.startswith("ai."):
        return None
    if operation == "ai.toolCall":
        return "tool"
    if operation.startswith("ai.rerank"):
        return "retrieval"
    return "embedding" if operation.startswith("ai.embed") else "llm"


CONVENTION = Convention(
    fields={
        "input": ("ai.prompt", "ai.value", "ai.values"),
        "output": ("ai.response.text", "ai.response.object", "ai.embedding", "ai.embeddings"),
        "input_messages": ("ai.prompt.messages", "ai.prompt"),
        "output_messages": ("ai.response.toolCalls",),
        "model": ("ai.response.model", "ai.model.id"),
        "tokens_in": ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
        "tokens_out": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
        "session": ("ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.session.id"),
        "user": ("ai.telemetry.metadata.userId", "ai.telemetry.metadata.user.id"),
        "tool_name": ("ai.toolCall.name",),
        "call_id": ("ai.toolCall.id",),
        "arguments": ("ai.toolCall.args",),
        "result": ("ai.toolCall.result",),
        "documents": ("ai.ranking",),
        "tools": ("ai.prompt.tools",),
        "finish_reason": ("ai.response.finishReason", "ai.finishReason"),
    },
    prefixes=("ai.prompt.", "ai.request.headers.", "ai.usage."),
    bulky=frozenset({"ai.response.providerMetadata", "ai.schema", "ai.documents"}),
    kinds={"ai.operationId": _kind},
)
