"""Google's Agent Development Kit, without any other instrumentation over it."""

from capture.conventions.shape import Convention

CONVENTION = Convention(
    fields={
        "input_messages": ("gcp.vertex.agent.llm_request",),
        "output_messages": ("gcp.vertex.agent.llm_response",),
        "session": ("gcp.vertex.agent.session_id",),
        "arguments": ("gcp.vertex.agent.tool_call_args",),
        "result": ("gcp.vertex.agent.tool_response",),
        "tools": ("gcp.vertex.agent.llm_request#config",),
        "finish_reason": ("gcp.vertex.agent.llm_response#finish_reason",),
    },
)
