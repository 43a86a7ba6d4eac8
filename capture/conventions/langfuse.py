"""Langfuse's SDKs and server: https://langfuse.com/integrations/native/opentelemetry."""

from capture.conventions.shape import Convention, one_of

CONVENTION = Convention(
    fields={
        "input": ("langfuse.observation.input", "langfuse.trace.input", "input"),
        "output": ("langfuse.observation.output", "langfuse.trace.output", "output"),
        "model": ("langfuse.observation.model.name",),
        "tokens_in": (
            "langfuse.observation.usage_details#input",
            "langfuse.observation.usage_details#prompt_tokens",
            "langfuse.observation.usage_details#input_tokens",
        ),
        "tokens_out": (
            "langfuse.observation.usage_details#output",
            "langfuse.observation.usage_details#completion_tokens",
            "langfuse.observation.usage_details#output_tokens",
        ),
        "cost": ("langfuse.observation.cost_details#total",),
        "session": ("langfuse.session.id",),
        "user": ("langfuse.user.id",),
        "environment": ("langfuse.environment",),
        "release": ("langfuse.release",),
        "error_message": ("langfuse.observation.status_message",),
        "error_level": ("langfuse.observation.level",),
    },
    bulky=frozenset({"langfuse.internal.as_root", "langfuse.internal.is_app_root"}),
    kinds={
        "langfuse.observation.type": one_of(
            {
                "generation": "llm",
                "tool": "tool",
                "retriever": "retrieval",
                "embedding": "embedding",
                "agent": "agent",
                "chain": "chain",
                "guardrail": "chain",
                "evaluator": "chain",
            }
        )
    },
)
