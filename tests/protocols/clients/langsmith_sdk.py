"""LangSmith's SDK: runs by OpenTelemetry, and feedback on their trace.

The SDK's runs join the OpenTelemetry trace that is current: its id is what feedback names.
"""

import uuid

from langsmith import Client, traceable
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

client = Client()


@traceable(run_type="retriever")
def search(question: str) -> list[dict[str, object]]:
    return [{"page_content": "Parcels take two days.", "type": "Document", "metadata": {"id": 1}}]


@traceable(run_type="tool")
def find_order(order: str) -> dict[str, str]:
    return {"state": "sent"}


@traceable(run_type="llm", metadata={"ls_model_name": "gpt-4o"})
def model(messages: list[dict[str, str]]) -> dict[str, object]:
    answer = {"role": "assistant", "content": "It is on its way."}
    return {
        "choices": [{"message": answer, "finish_reason": "stop"}],
        "usage_metadata": {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16},
    }


@traceable(metadata={"session_id": "s-1", "user_id": "u-1"})
def support(question: str) -> str:
    search(question)
    find_order("8812")
    answer = model([{"role": "user", "content": question}])
    return answer["choices"][0]["message"]["content"]


trace_id = uuid.uuid4()
context = SpanContext(trace_id.int, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
with use_span(NonRecordingSpan(context)):
    support("Where is my order 8812?", langsmith_extra={"client": client})
client.create_feedback(
    key="user_score",
    score=0,
    trace_id=trace_id,
    run_id=trace_id,
    comment="not there",
    correction={"answer": "It is with the neighbour."},
)
client.flush()
