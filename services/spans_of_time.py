"""Spans of time as people write them: 90m, 24h, 7d."""

import re
from datetime import timedelta

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = timedelta(days=365 * 100)


def span_of(text: str) -> timedelta | None:
    """The span of time; None when the text is none, or is longer than a hundred years."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        return None
    seconds = float(found[1]) * _SECONDS[found[2]]
    return timedelta(seconds=seconds) if seconds <= _LONGEST.total_seconds() else None
