"""Pieces to messages: durable, or said not to be."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from capture.events import TraceReceived
from capture.trace import Trace
from services.collector import Collector
from services.errors import Unavailable
from services.redaction import Unredacted
from services.stream.port import Message


def piece(number: int, text: str = "") -> TraceReceived:
    trace = Trace(trace_id=f"t{number}", project="p", input=text)
    return TraceReceived(event_id=f"e{number}", trace=trace)


async def test_a_piece_too_large_for_its_topic_takes_no_other_along(publisher: Any) -> None:
    collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=1000)
    collected = await collector.collect([piece(1), piece(2, "x" * 1000), piece(3)])
    assert [one.refusal is None for one in collected] == [True, False, True]
    assert "the limit is 1000" in str(collected[1].refusal)
    assert [event.trace_id for event in publisher.events] == ["t1", "t3"]


async def test_nothing_to_publish_asks_nothing_of_the_stream(publisher: Any) -> None:
    publisher.down = "down"
    assert (
        await Collector(publisher, Unredacted(), topic="t", max_message_bytes=1).collect([]) == []
    )


async def test_a_stream_that_hangs_is_unavailable_not_a_promise() -> None:
    class Hanging:
        async def publish(self, messages: Sequence[Message]) -> None:
            await asyncio.Event().wait()

    collector = Collector(
        Hanging(), Unredacted(), topic="t", max_message_bytes=9999, timeout_seconds=0.05
    )
    with pytest.raises(Unavailable, match=r"within 0\.05 s"):
        await collector.collect([piece(1)])
