"""`capture.ids`."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.events import FeedbackReceived, Piece, Span, SpansReceived, TraceReceived
from capture.ids import sealed
from capture.trace import Signal, Trace

PIECES: list[Piece] = [
    TraceReceived(event_id="", trace=Trace(trace_id="t", project="p", metadata={"b": 1, "a": 2})),
    SpansReceived(event_id="", project="p", trace_id="t", spans=(Span(span_id="1"),)),
    FeedbackReceived(event_id="", project="p", trace_id="t", signal=Signal(name="n", value=1)),
]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: type(piece).__name__)
def test_sealed_bytes_are_the_piece_with_its_derived_id(piece: Piece) -> None:
    event_id, body = sealed(piece)
    assert len(event_id) == 32
    named = msgspec.structs.replace(piece, event_id=event_id)
    assert msgspec.json.decode(body, type=type(piece)) == named
    assert sealed(named) == (event_id, body)


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_whatever_a_piece_says_its_bytes_stay_json(metadata: dict[str, object]) -> None:
    trace = Trace(trace_id="t", project="p", metadata=metadata)
    event_id, body = sealed(TraceReceived(event_id="", trace=trace))
    assert msgspec.json.decode(body, type=TraceReceived) == TraceReceived(
        event_id=event_id, trace=trace
    )


def test_a_piece_that_has_an_id_keeps_it() -> None:
    assert sealed(msgspec.structs.replace(PIECES[0], event_id="mine"))[0] == "mine"
