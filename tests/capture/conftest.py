"""Real requests, and spans made short."""

from collections.abc import Callable
from typing import Any

import pytest

from capture.assemble import assemble
from capture.events import Span, SpansReceived
from capture.trace import Trace

MakeSpan = Callable[..., Span]


@pytest.fixture
def span() -> MakeSpan:
    """A span whose id, parent and times (in milliseconds) are small numbers."""

    def make(
        number: int,
        start: int = 0,
        end: int = 0,
        *,
        parent: int | None = None,
        status: int = 0,
        message: str = "",
        attributes: dict[str, Any] | None = None,
        events: tuple[dict[str, Any], ...] = (),
        name: str = "",
    ) -> Span:
        return Span(
            span_id=f"{number:016x}",
            parent_span_id=None if parent is None else f"{parent:016x}",
            name=name or f"span {number}",
            start_ns=1_700_000_000_000_000_000 + start * 1_000_000,
            end_ns=1_700_000_000_000_000_000 + end * 1_000_000,
            status_code=status,
            status_message=message,
            attributes=attributes or {},
            events=events,
        )

    return make


Told = Callable[..., Trace]


@pytest.fixture
def told() -> Told:
    """The trace that spans tell of: `told(span, span, resource={...})`."""

    def assembled(*spans: Span, resource: dict[str, Any] | None = None) -> Trace:
        piece = SpansReceived(
            event_id="e", project="p", trace_id="t", resource=resource or {}, spans=spans
        )
        trace = assemble([piece])
        assert trace is not None
        return trace

    return assembled
