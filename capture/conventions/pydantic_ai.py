"""Pydantic AI through Logfire: https://ai.pydantic.dev/logfire/."""

from capture.conventions.shape import Attributes, Convention, Kind


def _kind(attributes: Attributes) -> Kind | None:
    if "tool_arguments" in attributes or "tool_response" in attributes:
        return "tool"
    agent = "pydantic_ai.all_messages" in attributes or "all_messages_events" in attributes
    return "agent" if agent or "final_result" in attributes else None


CONVENTION = Convention(
    fields={
        "output": ("final_result",),
        # An agent's span has the whole conversation, its answers included, in one attribute.
        "input_messages": ("pydantic_ai.all_messages", "all_messages_events", "events"),
        "output_messages": ("pydantic_ai.all_messages", "all_messages_events"),
        "model": ("model_name",),
        "cost": ("operation.cost",),
        "arguments": ("tool_arguments",),
        "result": ("tool_response",),
    },
    prefixes=("logfire.",),
    bulky=frozenset({"model_request_parameters", "pydantic_ai.new_message_index"}),
    kind=_kind,
)
