"""Langfuse's SDK: spans, and scores on a trace, on an observation and on a session."""

from langfuse import get_client, observe, propagate_attributes

langfuse = get_client()


@observe(as_type="retriever")
def search(question: str) -> list[dict[str, object]]:
    return [{"content": "Parcels take two days.", "score": 0.9}]


@observe(as_type="tool")
def find_order(order: str) -> dict[str, str]:
    return {"state": "sent"}


@observe()
def answer(question: str) -> str:
    with propagate_attributes(session_id="s-1", user_id="u-1"):
        search(question)
        find_order("8812")
        with langfuse.start_as_current_observation(
            name="model",
            as_type="generation",
            model="gpt-4o",
            input=[{"role": "user", "content": question}],
        ) as generation:
            generation.update(
                output={"role": "assistant", "content": "It is on its way."},
                usage_details={"input": 11, "output": 5},
                cost_details={"total": 0.25},
            )
            trace_id, span_id = generation.trace_id, generation.id
    langfuse.create_score(
        trace_id=trace_id, name="user-feedback", value=0, data_type="BOOLEAN", comment="not there"
    )
    langfuse.create_score(
        trace_id=trace_id,
        observation_id=span_id,
        name="tone",
        value="rude",
        data_type="CATEGORICAL",
    )
    langfuse.create_score(session_id="s-1", name="stars", value=2, data_type="NUMERIC")
    return "It is on its way."


answer("Where is my order 8812?")
langfuse.flush()
langfuse.shutdown()
