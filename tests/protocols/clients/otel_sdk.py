"""An application with its own spans, an evaluation and an ordinary log record."""

import json

import exporting
from opentelemetry._logs import LogRecord, get_logger
from opentelemetry.trace import get_tracer

traces, logs = exporting.tracing(), exporting.logging()
tracer, logger = get_tracer("app"), get_logger("app")
with tracer.start_as_current_span("chat gpt-4o") as span:
    span.set_attribute("gen_ai.operation.name", "chat")
    span.set_attribute("gen_ai.response.model", "gpt-4o")
    asked = [{"role": "user", "parts": [{"type": "text", "content": "why?"}]}]
    said = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "so"}],
            "finish_reason": "stop",
        }
    ]
    span.set_attribute("gen_ai.input.messages", json.dumps(asked))
    span.set_attribute("gen_ai.output.messages", json.dumps(said))
    logger.emit(
        LogRecord(
            event_name="gen_ai.evaluation.result",
            attributes={
                "gen_ai.evaluation.name": "relevance",
                "gen_ai.evaluation.score.value": 0.2,
                "gen_ai.evaluation.score.label": "irrelevant",
                "gen_ai.evaluation.explanation": "off topic",
            },
        )
    )
    logger.emit(LogRecord(body="an ordinary line"))
traces.shutdown()
logs.shutdown()
