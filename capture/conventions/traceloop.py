"""OpenLLMetry (Traceloop), whose model spans are the older GenAI form and read there."""

from capture.conventions.shape import Attributes, Convention, Kind

_KINDS: dict[str, Kind] = {
    "workflow": "chain",
    "task": "chain",
    "agent": "agent",
    "tool": "tool",
}
_REQUESTS: dict[str, Kind] = {
    "chat": "llm",
    "completion": "llm",
    "embedding": "embedding",
    "rerank": "retrieval",
}


def _kind(attributes: Attributes) -> Kind | None:
    said = _KINDS.get(str(attributes.get("traceloop.span.kind")))
    return said or _REQUESTS.get(str(attributes.get("llm.request.type")))


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
        "user": ("traceloop.association.properties.user_id",),
    },
    prefixes=("llm.request.functions.",),
    kind=_kind,
)
