"""Every real OTLP request is a trace that a person can read."""

from pathlib import Path

import pytest

from capture.assemble import assemble
from capture.otlp import NotTraces, decode_json
from capture.trace import Trace, content_text

NOT_TRACES = {"otelproto_events.json", "otelproto_logs.json", "otelproto_metrics.json"}
NO_MODEL_IN_IT = {"otelproto_trace.json"}


def traces_in(file: Path) -> list[Trace]:
    decoded = decode_json(file.read_bytes(), header_project=None, max_bytes=1 << 20)
    assert not decoded.rejected
    traces = [assemble([piece]) for piece in decoded.pieces]
    return [trace for trace in traces if trace is not None]


@pytest.fixture
def by_framework(sample_data: Path) -> dict[str, Trace]:
    """The first trace of each file of Langfuse's, by framework."""
    files = (sample_data / "otlp").glob("langfuse_*.json")
    return {
        file.name.split("-20")[0].removeprefix("langfuse_"): traces_in(file)[0] for file in files
    }


def test_every_request_with_traces_gives_input_output_and_model(sample_data: Path) -> None:
    seen = 0
    for file in sorted((sample_data / "otlp").glob("*.json")):
        if file.name in NOT_TRACES:
            with pytest.raises(NotTraces):
                traces_in(file)
            continue
        for trace in traces_in(file):
            seen += 1
            assert trace.started_at is not None, file.name
            assert trace.latency_ms, file.name
            if file.name not in NO_MODEL_IN_IT:
                assert content_text(trace.input).strip(), file.name
                assert content_text(trace.output).strip(), file.name
                assert trace.model, file.name
                assert trace.tokens_in, file.name
                assert {step.type for step in trace.steps} >= {"user"}, file.name
    assert seen >= 20


@pytest.mark.parametrize(
    ("framework", "question", "answer"),
    [
        ("agno", "What is currently trending on Twitter?", "To find out what's currently"),
        ("beeai", "I'm planning a trip to Barcelona", "{'role': 'assistant', 'text': \"Barc"),
        ("google-adk", "hi", "Hello Langfuse 👋!"),
        ("google-gemini", "What is Langfuse?", "**Langfuse** is an **open-source"),
        ("koog", "Greet and say goodbye", "Hello my darling Bob! And, bye my dear Bob!"),
        ("llamaindex", "What is Langfuse?", "Langfuse is a tool designed"),
        ("microsoft-agent", "What's the weather like in Portland?", "The weather in Portland is"),
        ("openai-agents", "What's the weather in Tokyo?", "The weather in Tokyo is currently"),
        ("pydantic-ai-tools", "programming", '{"evaluation":{'),
    ],
)
def test_the_question_and_the_answer_are_in_words(
    by_framework: dict[str, Trace], framework: str, question: str, answer: str
) -> None:
    trace = by_framework[framework]
    assert content_text(trace.input).startswith(question)
    assert content_text(trace.output).startswith(answer)


@pytest.mark.parametrize(
    ("framework", "calls"),
    [
        ("agno", ["duckduckgo_search"]),
        ("google-adk", ["say_hello"]),
        ("koog", ["HelloTool", "ByeTool"]),
        ("microsoft-agent", ["get_weather"]),
        ("openai-agents", ["get_weather"]),
        (
            "pydantic-ai-tools",
            [
                "get_pun_suggestion",
                "get_dad_joke_suggestion",
                "get_one_liner_suggestion",
                "final_result",
            ],
        ),
    ],
)
def test_each_tool_call_is_told_once_and_has_its_result(
    by_framework: dict[str, Trace], framework: str, calls: list[str]
) -> None:
    steps = by_framework[framework].steps
    made = [step for step in steps if step.type == "tool_call"]
    returned = [step for step in steps if step.type == "tool_result"]
    assert [step.name for step in made] == calls
    assert sorted(step.call_id or "" for step in returned) == sorted(s.call_id or "" for s in made)
    assert all(step.content for step in returned)


def test_tokens_are_counted_once_where_spans_repeat_each_other(
    by_framework: dict[str, Trace],
) -> None:
    """The agent's span says 631 and 35, which is only its last call; its two calls are 656 and 105."""
    trace = by_framework["microsoft-agent"]
    assert (trace.tokens_in, trace.tokens_out) == (656, 105)
    assert trace.cost_usd == pytest.approx(0.00269)


def test_who_and_where_are_found(by_framework: dict[str, Trace]) -> None:
    adk = by_framework["google-adk"]
    assert (adk.session_id, adk.user_id) == ("demo-session", "demo-user")
    assert by_framework["koog"].release == "0.3.0"
    assert by_framework["agno"].latency_ms == 6991


def test_the_turns_of_an_earlier_conversation_are_steps_in_order(sample_data: Path) -> None:
    traces = traces_in(sample_data / "otlp" / "openinference_vercel_ai_sdk_v6.otlp.json")
    trace = next(t for t in traces if t.input == "And what is 3 + 3?")
    assert [(step.type, step.content) for step in trace.steps] == [
        ("user", "What is 2 + 2?"),
        ("assistant", "2 + 2 equals 4."),
        ("user", "And what is 3 + 3?"),
        ("assistant", "3 + 3 equals 6."),
    ]
