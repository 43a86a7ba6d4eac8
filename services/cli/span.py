"""Spans of time as they are typed: 90m, 24h, 7d."""

from datetime import UTC, datetime

from services.cli.problem import misused
from services.spans_of_time import span_of


def moment_before_now(text: str | None, option: str = "--since") -> datetime | None:
    """The moment that is so long ago; None for no span. Raises `Problem`."""
    if text is None:
        return None
    span = span_of(text)
    if span is None:
        misused(
            f"{option} {text} is not a span of time.",
            f"Give a number and s, m, h, d or w, for example {option} 30d",
        )
    return datetime.now(UTC) - span
