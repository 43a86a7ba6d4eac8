"""OpenTelemetry's semantic conventions for generative AI, today's and the forms before them.

https://opentelemetry.io/docs/specs/semconv/gen-ai/ ("Development": names still move). Libraries
that put content into span events are read through `from_events`.
"""

from collections.abc import Sequence
from typing import Any

from capture.conventions.shape import Attributes, Convention, Kind, decoded

_OPERATIONS: dict[str, Kind] = {
    "chat": "llm",
    "text_completion": "llm",
    "completion": "llm",
    "generate_content": "llm",
    "execute_tool": "tool",
    "embeddings": "embedding",
    "retrieval": "retrieval",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
}
_ROLE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def _kind(attributes: Attributes) -> Kind | None:
    return _OPERATIONS.get(str(attributes.get("gen_ai.operation.name")))


CONVENTION = Convention(
    fields={
        "input_messages": ("gen_ai.input.messages", "gen_ai.prompt.*", "gen_ai.prompt"),
        "output_messages": ("gen_ai.output.messages", "gen_ai.completion.*", "gen_ai.completion"),
        "model": ("gen_ai.response.model", "gen_ai.request.model"),
        "tokens_in": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "tokens_out": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        "cost": ("gen_ai.usage.cost", "gen_ai.usage.total_cost"),
        "session": ("gen_ai.conversation.id", "session.id"),
        "user": ("user.id", "enduser.id", "enduser.pseudo.id"),
        "environment": ("deployment.environment.name", "deployment.environment"),
        "release": ("service.version",),
        "tool_name": ("gen_ai.tool.name",),
        "call_id": ("gen_ai.tool.call.id",),
        "arguments": ("gen_ai.tool.call.arguments",),
        "result": ("gen_ai.tool.call.result",),
        "documents": ("gen_ai.retrieval.documents",),
        "error_type": ("error.type",),
        "error_message": ("error.message",),
    },
    prefixes=("gen_ai.prompt.", "gen_ai.completion."),
    bulky=frozenset({"gen_ai.tool.definitions", "gen_ai.tool.description", "error"}),
    kind=_kind,
)


def from_events(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Attributes for what a span says about its messages in events: the names of `CONVENTION`."""
    shown: list[Any] = []
    answered: list[Any] = []
    found: dict[str, Any] = {}
    for event in events:
        name, attributes = event.get("name"), event.get("attributes") or {}
        if name in _ROLE_EVENTS:
            shown.append({"role": _ROLE_EVENTS[name], **_decoded(attributes)})
        elif name == "gen_ai.choice":
            said = _decoded(attributes)
            message = said.get("message")
            answered.append(
                {"role": "assistant", **(message if isinstance(message, dict) else said)}
            )
        elif name in {
            "gen_ai.content.prompt",
            "gen_ai.content.completion",
            "gen_ai.client.inference.operation.details",
        }:
            found.update(attributes)
    if shown:
        found.setdefault("gen_ai.input.messages", shown)
    if answered:
        found.setdefault("gen_ai.output.messages", answered)
    return found


def _decoded(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: decoded(value) for name, value in attributes.items()}
