"""OpenAI's client, instrumented by OpenTelemetry itself."""

import chat_server
import exporting
from openai import OpenAI
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.trace import get_tracer

traces, logs = exporting.tracing(), exporting.logging()
OpenAIInstrumentor().instrument()
client = OpenAI(base_url=chat_server.provider(), api_key="none")
with get_tracer("app").start_as_current_span("turn"):
    chat_server.converse(client)
traces.shutdown()
logs.shutdown()
