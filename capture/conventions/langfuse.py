"""Langfuse's SDKs and server: https://langfuse.com/integrations/native/opentelemetry."""

from capture.conventions.shape import Attributes, Convention, Kind

_KINDS: dict[str, Kind] = {
    "generation": "llm",
    "tool": "tool",
    "retriever": "retrieval",
    "embedding": "embedding",
    "agent": "agent",
    "chain": "chain",
}


def _kind(attributes: Attributes) -> Kind | None:
    return _KINDS.get(str(attributes.get("langfuse.observation.type")).lower())


CONVENTION = Convention(
    fields={
        "input": ("langfuse.observation.input", "langfuse.trace.input", "input"),
        "output": ("langfuse.observation.output", "langfuse.trace.output", "output"),
        "model": ("langfuse.observation.model.name",),
        "tokens_in": ("langfuse.observation.usage_details#input",),
        "tokens_out": ("langfuse.observation.usage_details#output",),
        "cost": ("langfuse.observation.cost_details#total",),
        "session": ("langfuse.session.id",),
        "user": ("langfuse.user.id",),
        "environment": ("langfuse.environment",),
        "release": ("langfuse.release",),
        "error_message": ("langfuse.observation.status_message",),
        "error_level": ("langfuse.observation.level",),
    },
    kind=_kind,
)
