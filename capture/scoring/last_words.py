"""Which of a trace's signals count."""

from capture.trace import Signal, Trace


def last_words(trace: Trace) -> list[Signal]:
    """The signals that count: of one name from one source, the last. People change their minds."""
    return list({(signal.name, signal.source): signal for signal in trace.signals}.values())
