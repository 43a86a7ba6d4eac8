"""All that was received of one trace, as one trace."""

from collections.abc import Iterable, Sequence
from typing import Any

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


def is_complete(pieces: Sequence[Piece]) -> bool:
    """Whether everything is there: a native trace, or spans whose roots have all ended.

    Spans whose parents are all elsewhere have no root here yet. An end of 0 is a span that was sent
    when it began; the telling that has an end may still come.
    """
    if any(isinstance(piece, TraceReceived) for piece in pieces):
        return True
    roots: dict[str, bool] = {}
    for piece in pieces:
        if isinstance(piece, SpansReceived):
            for span in piece.spans:
                if not span.parent_span_id and not span.partial:
                    roots[span.span_id] = roots.get(span.span_id, False) or span.end_ns > 0
    return bool(roots) and all(roots.values())


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
    """Every span once, in order of start. Of one sent twice, the telling that has an end wins.

    A partial telling only adds its events.
    """
    merged: dict[str, Span] = {}
    for span in spans:
        known = merged.get(span.span_id)
        if known is None:
            merged[span.span_id] = span
            continue
        newest = span.partial < known.partial or (
            span.partial == known.partial and span.end_ns >= known.end_ns
        )
        better, other = (span, known) if newest else (known, span)
        attributes = {**other.attributes, **better.attributes}
        both = known.partial or span.partial
        events = _all_events(known, span) if both else better.events or other.events
        merged[span.span_id] = msgspec.structs.replace(better, attributes=attributes, events=events)
    return sorted(merged.values(), key=lambda span: span.start_ns)


def _all_events(one: Span, other: Span) -> tuple[dict[str, Any], ...]:
    """The events of both tellings, each once, in order of time."""
    more = [event for event in other.events if event not in one.events]
    return tuple(sorted((*one.events, *more), key=lambda event: event.get("time_ns") or 0))


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
    return msgspec.structs.replace(trace, signals=_latest(trace.signals + signals))


def _latest(signals: tuple[Signal, ...]) -> tuple[Signal, ...]:
    """The signals without those that a later one of the same name, source and id replaces."""
    last = {(s.name, s.source, s.id): place for place, s in enumerate(signals) if s.id is not None}
    return tuple(
        signal
        for place, signal in enumerate(signals)
        if signal.id is None or last[signal.name, signal.source, signal.id] == place
    )
