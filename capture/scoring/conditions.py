"""Whether a trace is among those that a scorer is asked about."""

from collections.abc import Callable

from capture.scoring.globs import matcher
from capture.scoring.scorer import When
from capture.trace import Trace, content_text

Condition = Callable[[Trace], bool]


def condition_of(when: When) -> Condition | None:
    """The condition, made ready; None when every trace fits."""
    asked: list[Condition] = [
        _field(field, matcher(globs))
        for field in ("model", "release", "environment")
        if (globs := getattr(when, field))
    ]
    asked.extend(_metadata(key, matcher([glob])) for key, glob in when.metadata.items())
    if not asked:
        return None
    return lambda trace: all(fits(trace) for fits in asked)


def _field(name: str, fits: Callable[[str], bool]) -> Condition:
    def holds(trace: Trace) -> bool:
        value = getattr(trace, name)
        return value is not None and fits(value)

    return holds


def _metadata(key: str, fits: Callable[[str], bool]) -> Condition:
    def holds(trace: Trace) -> bool:
        if key not in trace.metadata:
            return False
        value = trace.metadata[key]
        if isinstance(value, (str, dict, list)) or value is None:
            return fits(content_text(value))
        return fits(str(value).lower() if isinstance(value, bool) else str(value))

    return holds
