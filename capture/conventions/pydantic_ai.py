"""Pydantic AI and Logfire: https://ai.pydantic.dev/logfire/."""

from capture.conventions.shape import Convention, always

CONVENTION = Convention(
    fields={
        "output": ("final_result",),
        # An agent's span has the whole conversation, its answers included, in one attribute.
        "input_messages": (
            "pydantic_ai.all_messages",
            "all_messages_events",
            "events",
            "request_data#messages",
            "request_data#input",
        ),
        "output_messages": (
            "pydantic_ai.all_messages",
            "all_messages_events",
            "response_data#message",
            "response_data#combined_chunk_content",
            "response_data#text",
        ),
        "model": ("model_name", "request_data#model"),
        "cost": ("operation.cost",),
        "arguments": ("tool_arguments",),
        "result": ("tool_response",),
        "tools": ("model_request_parameters#function_tools", "request_data#tools"),
        "finish_reason": ("response_data#finish_reason",),
    },
    prefixes=("logfire.", "gen_ai.aggregated_usage."),
    bulky=frozenset({"pydantic_ai.new_message_index"}),
    kinds={
        "tool_arguments": always("tool"),
        "tool_response": always("tool"),
        "pydantic_ai.all_messages": always("agent"),
        "all_messages_events": always("agent"),
        "final_result": always("agent"),
    },
)
