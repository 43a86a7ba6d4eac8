"""OpenAI's client, instrumented by OpenInference."""

import chat_server
import exporting
from openai import OpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.trace import get_tracer

traces = exporting.tracing()
OpenAIInstrumentor().instrument()
client = OpenAI(base_url=chat_server.provider(), api_key="none")
with (
    using_attributes(session_id="s-1", user_id="u-1"),
    get_tracer("app").start_as_current_span("turn"),
):
    chat_server.converse(client)
traces.shutdown()
