"""OpenTelemetry's semantic conventions for generative AI, today's and the forms before them.

https://opentelemetry.io/docs/specs/semconv/gen-ai/ ("Development": names still move). Strands,
Semantic Kernel, Azure AI, OpenLIT, Logfire, Pydantic AI and the Vercel AI SDK 7 write these names
too. What is written into events is read through `capture.conventions.genai_events`.
"""

from capture.conventions.shape import Convention, one_of

CONVENTION = Convention(
    fields={
        "input_messages": ("gen_ai.input.messages", "gen_ai.prompt.*", "gen_ai.prompt"),
        "output_messages": ("gen_ai.output.messages", "gen_ai.completion.*", "gen_ai.completion"),
        "model": ("gen_ai.response.model", "gen_ai.request.model"),
        "tokens_in": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "tokens_out": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        "cost": ("gen_ai.usage.cost", "gen_ai.usage.total_cost"),
        "session": ("gen_ai.conversation.id", "session.id", "gen_ai.thread.id"),
        "user": ("user.id", "enduser.id", "enduser.pseudo.id"),
        "environment": ("deployment.environment.name", "deployment.environment"),
        "release": ("service.version",),
        "tool_name": ("gen_ai.tool.name",),
        "call_id": ("gen_ai.tool.call.id",),
        "arguments": ("gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text"),
        "result": ("gen_ai.tool.call.result",),
        "documents": ("gen_ai.retrieval.documents",),
        "error_type": ("error.type",),
        "error_message": ("error.message",),
        "tools": ("gen_ai.tool.definitions",),
        "finish_reason": (
            "gen_ai.response.finish_reasons",
            "gen_ai.response.finish_reason",
            "gen_ai.completion.0.finish_reason",
        ),
    },
    bulky=frozenset({"gen_ai.tool.description", "error"}),
    kinds={
        "gen_ai.operation.name": one_of(
            {
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
        )
    },
)
