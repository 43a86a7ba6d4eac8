"""docs/conventions.md says which attribute becomes what exactly as the code has it."""

from pathlib import Path
from typing import get_args

from capture.conventions import (
    CONVENTIONS,
    adk,
    genai,
    langfuse,
    langsmith,
    mlflow,
    openinference,
    pydantic_ai,
    traceloop,
    vercel,
)
from capture.conventions.genai_events import MESSAGE_EVENTS
from capture.conventions.shape import Convention, Field
from services.http.otlp import OTLP_ALIASES

BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
NAMES: tuple[tuple[str, Convention], ...] = (
    ("GenAI", genai.CONVENTION),
    ("OpenInference", openinference.CONVENTION),
    ("Pydantic AI, Logfire", pydantic_ai.CONVENTION),
    ("Vercel AI SDK", vercel.CONVENTION),
    ("Traceloop", traceloop.CONVENTION),
    ("MLflow", mlflow.CONVENTION),
    ("Google ADK", adk.CONVENTION),
    ("LangSmith", langsmith.CONVENTION),
    ("Langfuse", langfuse.CONVENTION),
)
BECOMES: dict[Field, str] = {
    "input": "`input`; a tool's or retriever's `arguments`",
    "output": "`output`; a tool's result",
    "input_messages": "`input`, and steps: what a model was shown",
    "output_messages": "`output`, and steps: what it answered",
    "model": "`model`",
    "tokens_in": "`tokens_in`",
    "tokens_out": "`tokens_out`",
    "cost": "`cost_usd`",
    "session": "`session_id`",
    "user": "`user_id`",
    "environment": "`environment`",
    "release": "`release`",
    "tool_name": "a tool step's `name`",
    "call_id": "a tool step's `call_id`",
    "arguments": "a step's `arguments`",
    "result": "a `tool_result` step's `content`",
    "documents": "a `retrieval` step's `content`",
    "error_type": '`metadata["error.type"]`',
    "error_message": '`metadata["error.message"]`, a step\'s `error`',
    "error_level": "whether the span failed: `ERROR`",
    "tools": "`metadata.tools`",
    "finish_reason": "`metadata.finish_reason`",
}


def table() -> str:
    """The table as the code has it."""
    lines = ["| becomes | convention | attributes, the most trusted first |", "|---|---|---|"]
    for field in get_args(Field):
        for name, convention in NAMES:
            attributes = convention.fields.get(field)
            if attributes:
                listed = ", ".join(f"`{attribute}`" for attribute in attributes)
                lines.append(f"| {BECOMES[field]} | {name} | {listed} |")
    lines.append("")
    lines += ["| what a span stands for | attribute |", "|---|---|"]
    for name, convention in NAMES:
        if convention.kinds:
            listed = ", ".join(f"`{attribute}`" for attribute in convention.kinds)
            lines.append(f"| {name} | {listed} |")
    return "\n".join(lines)


def test_the_table_is_what_the_code_reads(root: Path) -> None:
    said = (root / "docs" / "conventions.md").read_text()
    shown = said.partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == table(), f"docs/conventions.md is to have this:\n\n{table()}\n"


def test_every_convention_has_its_name_in_the_table() -> None:
    assert tuple(convention for _, convention in NAMES) == CONVENTIONS


def test_every_event_and_address_is_on_the_page(root: Path) -> None:
    said = "".join((root / "docs" / name).read_text() for name in ("conventions.md", "sending.md"))
    for name in MESSAGE_EVENTS:
        assert f"`{name}`" in said, name
    for prefix in OTLP_ALIASES:
        assert prefix in said
