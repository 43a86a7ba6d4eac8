"""The tools that a model was offered, as each convention writes them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.events import Span
from capture.trace import Trace

TOOL = {"name": "find", "description": "Looks up.", "parameters": {"type": "object"}}

SCHEMA = {"type": "object"}

OFFERS: dict[str, dict[str, Any]] = {
    "genai": {"gen_ai.tool.definitions": json.dumps([{"type": "function", **TOOL}])},
    "openai": {"llm.tools": json.dumps([{"type": "function", "function": TOOL}])},
    "openinference": {
        "llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": TOOL})
    },
    "anthropic": {
        "mlflow.chat.tools": json.dumps(
            [{"name": "find", "description": "Looks up.", "input_schema": SCHEMA}]
        )
    },
    "traceloop": {
        "llm.request.functions.0.name": "find",
        "llm.request.functions.0.description": "Looks up.",
        "llm.request.functions.0.parameters": json.dumps(SCHEMA),
    },
    "vercel": {
        "ai.prompt.tools": [
            json.dumps(
                {
                    "type": "function",
                    "name": "find",
                    "description": "Looks up.",
                    "inputSchema": SCHEMA,
                }
            )
        ]
    },
    "pydantic ai": {
        "model_request_parameters": json.dumps(
            {
                "function_tools": [
                    {
                        "name": "find",
                        "description": "Looks up.",
                        "parameters_json_schema": SCHEMA,
                    }
                ],
                "output_tools": [],
            }
        )
    },
    "google": {
        "gcp.vertex.agent.llm_request": json.dumps(
            {"config": {"tools": [{"function_declarations": [TOOL]}]}, "contents": []}
        )
    },
    "bedrock": {
        "gen_ai.tool.definitions": json.dumps(
            {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "find",
                            "description": "Looks up.",
                            "inputSchema": {"json": SCHEMA},
                        }
                    }
                ]
            }
        )
    },
}


@pytest.mark.parametrize("way", OFFERS)
def test_the_tools_a_model_was_offered_are_told_in_one_shape(
    way: str, span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    trace = told(span(1, 0, 9), span(2, 1, 8, parent=1, attributes=OFFERS[way]))
    assert trace.metadata["tools"] == [TOOL]
