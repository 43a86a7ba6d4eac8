"""Phoenix' client: annotations of a span, a trace and a session."""

from phoenix.client import Client

client = Client()
made = client.spans.add_span_annotation(
    span_id="eee19b7ec3c1b174",
    annotation_name="helpfulness",
    annotator_kind="HUMAN",
    label="unhelpful",
    score=0,
    explanation="It is on its way.",
    metadata={"by": "r-1"},
    sync=True,
)
if not made or not made["id"]:
    message = f"no id came back: {made}"
    raise SystemExit(message)
client.traces.add_trace_annotation(
    trace_id="4f28115818e38c9ca783053b39f38095",
    annotation_name="correct",
    annotator_kind="LLM",
    label="wrong",
)
client.sessions.add_session_annotation(
    session_id="s-1", annotation_name="stars", annotator_kind="HUMAN", score=2
)
