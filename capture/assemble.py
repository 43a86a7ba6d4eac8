"""All that was received of one trace, as one trace."""

from collections.abc import Iterable, Sequence

import msgspec

from capture.events import FeedbackReceived, Piece, Span, SpansReceived, TraceReceived
from capture.spans import trace_from_spans
from capture.trace import Signal, Trace


def assemble(pieces: Sequence[Piece]) -> Trace | None:
    """The trace that these pieces, in order of arrival and possibly repeated, make up.

    A native trace sent again replaces the one before. What a native trace does not say is taken
    from spans of the same id, when there are any. Feedback is appended to the trace's signals.
    None when there is nothing but feedback: the trace itself may still come.
    """
    once = _once(pieces)
    native = [piece.trace for piece in once if isinstance(piece, TraceReceived)]
    spans = [piece for piece in once if isinstance(piece, SpansReceived)]
    signals = tuple(piece.signal for piece in once if isinstance(piece, FeedbackReceived))
    told = _merged(spans) if spans else None
    if not native:
        return _with_signals(told, signals)
    return _with_signals(_completed(native[-1], told), signals)


def _once(pieces: Sequence[Piece]) -> list[Piece]:
    first: dict[str, Piece] = {}
    for piece in pieces:
        first.setdefault(piece.event_id, piece)
    return list(first.values())


def _merged(pieces: Sequence[SpansReceived]) -> Trace:
    resource = {name: value for piece in reversed(pieces) for name, value in piece.resource.items()}
    spans = _once_each(span for piece in pieces for span in piece.spans)
    return trace_from_spans(pieces[0].project, pieces[0].trace_id, resource, spans)


def _once_each(spans: Iterable[Span]) -> list[Span]:
    """Every span once, in order of start. Of one sent twice, the telling that has an end wins."""
    merged: dict[str, Span] = {}
    for span in spans:
        known = merged.get(span.span_id)
        if known is None:
            merged[span.span_id] = span
            continue
        better, other = (known, span) if known.end_ns > span.end_ns else (span, known)
        attributes = {**other.attributes, **better.attributes}
        events = better.events or other.events
        merged[span.span_id] = msgspec.structs.replace(better, attributes=attributes, events=events)
    return sorted(merged.values(), key=lambda span: span.start_ns)


def _completed(native: Trace, told: Trace | None) -> Trace:
    """The native trace, its gaps filled from spans; of what both say, the native word is the last.

    Signals and metadata are gaps one by one: that a run is an experiment, or that it ended in an
    error, is often told by the spans alone.
    """
    if told is None:
        return native
    gaps = {
        name: getattr(told, name)
        for name in Trace.__struct_fields__
        if getattr(native, name) in (None, ())
    }
    both = {
        "signals": told.signals + native.signals,
        "metadata": {**told.metadata, **native.metadata},
    }
    return msgspec.structs.replace(native, **(gaps | both))


def _with_signals(trace: Trace | None, signals: tuple[Signal, ...]) -> Trace | None:
    if trace is None or not signals:
        return trace
    return msgspec.structs.replace(trace, signals=trace.signals + signals)
