"""Pieces of one trace, in any number and order, to one trace."""
# ruff: noqa: FBT001, FBT003 - feedback is often a truth value

from collections.abc import Callable
from typing import Any

import pytest

from capture.assemble import assemble
from capture.events import FeedbackReceived, Span, SpansReceived, TraceReceived
from capture.experiments import is_experiment
from capture.trace import Signal, Step, Trace

MakeSpan = Callable[..., Span]
Told = Callable[..., Trace]

LLM = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"why?"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"so"}]}]',
}


def native(event_id: str = "n", **fields: Any) -> TraceReceived:
    return TraceReceived(event_id=event_id, trace=Trace(trace_id="t", project="p", **fields))


def spans(event_id: str, *received: Span, **resource: Any) -> SpansReceived:
    return SpansReceived(
        event_id=event_id, project="p", trace_id="t", resource=resource, spans=received
    )


def feedback(event_id: str, value: bool | float | str) -> FeedbackReceived:
    signal = Signal(name="thumbs", value=value, source="user")
    return FeedbackReceived(event_id=event_id, project="p", trace_id="t", signal=signal)


def test_feedback_alone_is_no_trace_yet() -> None:
    assert assemble([feedback("f", False)]) is None
    assert assemble([]) is None


def test_feedback_joins_the_trace_once_whenever_it_came() -> None:
    own = Signal(name="own", value=1.0)
    pieces = [feedback("f1", False), native(signals=(own,)), feedback("f1", False)]
    trace = assemble([*pieces, feedback("f2", True)])
    assert trace is not None
    assert [(s.name, s.value) for s in trace.signals] == [
        ("own", 1.0),
        ("thumbs", False),
        ("thumbs", True),
    ]


def test_a_native_trace_sent_again_replaces_the_one_before() -> None:
    trace = assemble([native("a", output="old"), native("b", output="new"), native("a")])
    assert trace is not None
    assert trace.output == "new"


def test_spans_fill_the_gaps_of_a_native_trace(span: MakeSpan) -> None:
    trace = assemble([spans("s", span(1, 0, 40, attributes=LLM)), native(output="mine")])
    assert trace is not None
    assert (trace.input, trace.output, trace.model) == ("why?", "mine", "m")
    assert trace.latency_ms == 40


def test_what_spans_say_beside_a_native_trace_is_kept_unless_that_says_otherwise(
    span: MakeSpan,
) -> None:
    """The mark of an experiment, an error and an evaluation count, whichever of the two has them."""
    evaluation = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.2}
    event = {"name": "gen_ai.evaluation.result", "attributes": evaluation}
    root = span(1, 0, 40, status=2, message="boom", attributes={"tenant": "b"}, events=(event,))
    own = Signal(name="own", value=1.0)
    told = spans("s", root, **{"evalratchet.run": "r"})
    trace = assemble([told, native(metadata={"tenant": "a"}, signals=(own,))])
    assert trace is not None
    assert is_experiment(trace)
    assert (trace.metadata["tenant"], trace.metadata["error.message"]) == ("a", "boom")
    assert [signal.name for signal in trace.signals] == ["relevance", "own"]


def test_pieces_in_any_order_give_the_same_trace(span: MakeSpan) -> None:
    root, call = span(1, 0, 100, attributes={"input.value": "q"}), span(2, 5, 50, parent=1)
    one = assemble([spans("a", root), spans("b", call)])
    assert one == assemble([spans("b", call), spans("a", root), spans("b", call)])


def test_of_a_span_sent_twice_the_one_that_ended_counts_and_nothing_said_is_lost(
    span: MakeSpan,
) -> None:
    begun = span(1, 0, 0, attributes={"input.value": "q", "a": 1})
    ended = span(1, 0, 30, attributes={"output.value": "r", "a": 2})
    for order in ((begun, ended), (ended, begun)):
        trace = assemble([spans("a", order[0]), spans("b", order[1])])
        assert trace is not None
        assert (trace.input, trace.output, trace.latency_ms) == ("q", "r", 30)
        assert trace.metadata["a"] == 2


def test_the_root_is_the_first_span_without_a_parent_here(span: MakeSpan, told: Told) -> None:
    trace = told(
        span(3, 20, 30, parent=2),
        span(2, 10, 90, parent=77, attributes={"input.value": "orphan"}),
        span(1, 15, 95, attributes={"input.value": "later root"}),
    )
    assert trace.input == "orphan"
    assert trace.latency_ms == 80


def test_a_circle_of_parents_is_survived(span: MakeSpan, told: Told) -> None:
    trace = told(
        span(1, 0, 10, parent=2, attributes=LLM), span(2, 1, 9, parent=1), span(3, 2, 3, parent=3)
    )
    assert trace.output == "so"


def test_ten_thousand_nested_spans_are_no_trouble(span: MakeSpan, told: Told) -> None:
    chain = [span(n, n, 20_000 - n, parent=n - 1, attributes=LLM) for n in range(1, 10_000)]
    trace = told(*chain)
    assert [step.type for step in trace.steps] == ["user", "assistant"]


def test_a_root_that_failed_says_so_in_metadata_and_in_a_step(span: MakeSpan, told: Told) -> None:
    event = {
        "name": "exception",
        "attributes": {"exception.type": "RateLimit", "exception.message": "slow down"},
    }
    trace = told(span(1, 0, 10, status=2, events=(event,), name="answer"))
    assert trace.metadata["error.type"] == "RateLimit"
    assert trace.metadata["error.message"] == "slow down"
    assert [step.error for step in trace.steps] == ["slow down"]


def test_an_error_that_bubbles_up_is_one_step_where_it_happened(span: MakeSpan, told: Told) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}
    trace = told(
        span(1, 0, 50, status=2, message="boom"),
        span(2, 1, 40, parent=1, status=2, message="boom"),
        span(3, 2, 30, parent=2, status=2, message="boom", attributes=tool),
    )
    assert [(s.type, s.name) for s in trace.steps if s.error] == [("tool_result", "find")]
    assert trace.metadata["error.message"] == "boom"


def test_a_request_that_recovered_did_not_fail(span: MakeSpan, told: Told) -> None:
    """Its failed step is told as a step, and nothing says that the request itself ended in it."""
    trace = told(span(1, 0, 50), span(2, 1, 40, parent=1, attributes={"error": True}))
    assert [step.error for step in trace.steps] == ["no message"]
    assert not trace.metadata.keys() & {"error", "error.type", "error.message"}


@pytest.mark.parametrize(
    ("status", "attributes", "failed"),
    [
        (0, {}, False),
        (1, {"error.type": "timeout"}, False),
        (0, {"error.type": "timeout"}, True),
        (2, {}, True),
        (0, {"langfuse.observation.level": "ERROR"}, True),
        (0, {"langfuse.observation.level": "WARNING"}, False),
        (0, {"error": True}, True),
        (0, {"error": False}, False),
    ],
)
def test_what_counts_as_a_failed_span(
    span: MakeSpan, told: Told, status: int, attributes: dict[str, Any], failed: bool
) -> None:
    trace = told(span(1, 0, 10, status=status, attributes=attributes))
    assert ("error.type" in trace.metadata and bool(trace.steps)) is failed


def test_evaluation_events_become_signals(span: MakeSpan, told: Told) -> None:
    event = {
        "name": "gen_ai.evaluation.result",
        "attributes": {
            "gen_ai.evaluation.name": "relevance",
            "gen_ai.evaluation.score.value": 0.2,
            "gen_ai.evaluation.explanation": "off topic",
        },
    }
    trace = told(span(1, 0, 10, events=(event,)))
    assert trace.signals == (
        Signal(name="relevance", value=0.2, source="evaluation", comment="off topic"),
    )


def test_what_nobody_explains_is_kept_within_bounds(span: MakeSpan, told: Told) -> None:
    many = {f"key.{number}": "x" * 5000 for number in range(500)}
    marker = {"langfuse.experiment.name": "e", "evalratchet.run": "r"}
    trace = told(
        span(1, 0, 10, attributes=many),
        span(2, 1, 2, parent=1, attributes=marker),
        resource={"host": "h"},
    )
    assert trace.metadata["evalratchet.run"] == "r"
    assert trace.metadata["langfuse.experiment.name"] == "e"
    assert len(trace.metadata) <= 110
    assert max(len(str(value)) for value in trace.metadata.values()) <= 1000


def test_times_outside_the_calendar_are_left_out(span: MakeSpan, told: Told) -> None:
    trace = told(Span(span_id="1", start_ns=2**70, end_ns=0))
    assert trace.started_at is None
    assert trace.latency_ms is None


@pytest.mark.parametrize("cost", ["1.7e308", '{"total": %s}' % ("9" * 400)])
def test_figures_that_no_number_holds_are_left_out(span: MakeSpan, told: Told, cost: str) -> None:
    """What raises here would be a dead letter, and no failure of the trace would ever be found."""
    name = "langfuse.observation.cost_details" if cost.startswith("{") else "gen_ai.usage.cost"
    said = {**LLM, name: cost}
    trace = told(span(1, 0, 10), *(span(n, 1, 2, parent=1, attributes=said) for n in (2, 3)))
    assert trace.cost_usd is None
    assert trace.output == "so"


def test_a_retrieval_has_its_query_and_documents(span: MakeSpan, told: Told) -> None:
    retriever = {
        "openinference.span.kind": "RETRIEVER",
        "input.value": "returns",
        "retrieval.documents.1.document.content": "second",
        "retrieval.documents.0.document.content": "first",
        "retrieval.documents.0.document.score": 0.9,
    }
    trace = told(
        span(1, 0, 90, attributes={"input.value": "q"}),
        span(2, 1, 20, parent=1, attributes=retriever, name="search"),
        span(3, 30, 80, parent=1, attributes=LLM),
    )
    assert [step.type for step in trace.steps] == ["retrieval", "user", "assistant"]
    assert trace.steps[0] == Step(
        type="retrieval",
        name="search",
        arguments="returns",
        content=[{"content": "first", "score": 0.9}, {"content": "second"}],
        latency_ms=19,
    )
