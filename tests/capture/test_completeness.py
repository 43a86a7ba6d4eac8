import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.assemble import is_complete
from capture.events import FeedbackReceived, Piece, Span, SpansReceived, TraceReceived
from capture.trace import Signal, Trace

NATIVE = TraceReceived(event_id="n", trace=Trace(trace_id="t", project="p"))
THUMB = FeedbackReceived(
    event_id="f", project="p", trace_id="t", signal=Signal(name="thumbs", value=True, source="user")
)


def spans(*told: Span) -> SpansReceived:
    return SpansReceived(event_id="s", project="p", trace_id="t", spans=told)


ROOT = Span(span_id="a", end_ns=5)
BEGUN = Span(span_id="a", end_ns=0)
CHILD = Span(span_id="b", parent_span_id="a", end_ns=4)
OTHER_ROOT = Span(span_id="c", end_ns=0)
LOGGED = Span(span_id="d", end_ns=0, partial=True)


@pytest.mark.parametrize(
    ("pieces", "complete"),
    [
        ([NATIVE], True),
        ([THUMB], False),
        ([], False),
        ([spans(ROOT)], True),
        ([spans(CHILD)], False),
        ([spans(BEGUN, CHILD)], False),
        ([spans(CHILD), THUMB, spans(ROOT)], True),
        ([spans(BEGUN), spans(ROOT)], True),
        ([spans(ROOT), spans(BEGUN)], True),
        ([spans(ROOT, OTHER_ROOT)], False),
        ([spans(LOGGED)], False),
        ([spans(LOGGED, ROOT)], True),
        ([spans(CHILD), NATIVE], True),
    ],
)
def test_a_trace_is_complete_when_every_root_that_came_has_ended(
    pieces: list[Piece],
    *,
    complete: bool,
) -> None:
    assert is_complete(pieces) is complete


@given(
    st.permutations([spans(ROOT), spans(CHILD), spans(BEGUN), THUMB]),
    st.integers(min_value=1, max_value=4),
)
def test_the_order_of_arrival_and_repetition_change_nothing(
    pieces: list[Piece], repeated: int
) -> None:
    assert is_complete([*pieces, *pieces[:repeated]])
