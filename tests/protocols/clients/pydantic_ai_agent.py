"""A Pydantic AI agent with a tool and its test model, instrumented by itself."""

import os

import exporting
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.models.test import TestModel

traces = exporting.tracing()
version = int(os.environ["INSTRUMENTATION_VERSION"])
agent = Agent(TestModel(custom_output_text="It is on its way."), name="support")
agent.instrument = InstrumentationSettings(version=version)


@agent.tool_plain
def find_order(order: str) -> str:
    """Look an order up."""
    return f"order {order} is sent"


agent.run_sync("Where is my order 8812?")
traces.shutdown()
