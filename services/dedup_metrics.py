"""The funnel's figures: which step decided, what each cost, and how large the index is."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import Metric

DedupMetricName = Literal[
    "evalratchet_dedup_failures_total",  # failures that got their pattern, by the step that decided
    "evalratchet_dedup_seconds_total",  # seconds spent in each part of the way to a pattern
    "evalratchet_dedup_grey_total",  # decisions within the grey band, by project
    "evalratchet_dedup_geometry_moves_total",  # how often a project's centre moved
    "evalratchet_dedup_index_patterns",  # patterns in a project's index
    "evalratchet_dedup_index_bytes",  # what this index takes of the memory
    "evalratchet_dedup_index_catch_up_total",  # rows that the indexes took over from the store
]

Step = Literal[
    "earlier",  # decided before: it was delivered again
    "fingerprint",  # its masked text is known
    "cached",  # its text was embedded before, and belongs to no pattern that is known by it
    "embedding",  # its text was embedded now
]

Part = Literal[
    "text",  # the failure text, its guard and its fingerprint
    "lookup",  # earlier decisions, known fingerprints, cached vectors
    "embed",  # waiting for the model
    "lock",  # waiting for the project's lock
    "index",  # catching up with the store, and searching
    "assign",  # the decision itself
    "keep",  # keeping it, and committing
]

_FAILURES: DedupMetricName = "evalratchet_dedup_failures_total"
_SECONDS: DedupMetricName = "evalratchet_dedup_seconds_total"
_GREY: DedupMetricName = "evalratchet_dedup_grey_total"
_MOVES: DedupMetricName = "evalratchet_dedup_geometry_moves_total"
_PATTERNS: DedupMetricName = "evalratchet_dedup_index_patterns"
_BYTES: DedupMetricName = "evalratchet_dedup_index_bytes"
_CAUGHT_UP: DedupMetricName = "evalratchet_dedup_index_catch_up_total"


class DedupMetrics:
    """What the dedup service counts."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register every metric of `DedupMetricName`; without a registry they are counted for nobody."""
        registry = CollectorRegistry() if registry is None else registry
        self._registry = registry
        self._failures = Counter(
            _FAILURES,
            "Failures that got their pattern, by the step that decided",
            ["step"],
            registry=registry,
        )
        self._seconds = Counter(
            _SECONDS,
            "Seconds spent in each part of the way to a pattern",
            ["part"],
            registry=registry,
        )
        self._grey = Counter(
            _GREY, "Decisions within the grey band", ["project"], registry=registry
        )
        self._moves = Counter(
            _MOVES, "How often a project's centre moved", ["project"], registry=registry
        )
        self._patterns = Gauge(
            _PATTERNS, "Patterns in a project's index", ["project"], registry=registry
        )
        self._bytes = Gauge(
            _BYTES,
            "What a project's index takes of the memory, in bytes",
            ["project"],
            registry=registry,
        )
        self._caught_up = Counter(
            _CAUGHT_UP, "Rows that the indexes took over from the store", registry=registry
        )

    def collect(self) -> Iterable[Metric]:
        """Everything in the registry."""
        return self._registry.collect()

    def count_decided(self, step: Step, number: int) -> None:
        """Count failures that got their pattern in this step."""
        if number:
            self._failures.labels(step).inc(number)

    def count_grey(self, project: str, number: int) -> None:
        """Count decisions within the grey band."""
        if number:
            self._grey.labels(project).inc(number)

    def count_move(self, project: str) -> None:
        """Count a move of the centre."""
        self._moves.labels(project).inc()

    def count_caught_up(self, rows: int) -> None:
        """Count rows that an index took over."""
        self._caught_up.inc(rows)

    def show_index(self, project: str, *, patterns: int, size: int) -> None:
        """Show how many patterns a project's index holds, and the bytes it takes."""
        self._patterns.labels(project).set(patterns)
        self._bytes.labels(project).set(size)

    @contextmanager
    def spending(self, part: Part) -> Iterator[None]:
        """Add the seconds that pass inside to a part's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(part, time.perf_counter() - began)

    def add(self, part: Part, seconds: float) -> None:
        """Add seconds to a part's."""
        self._seconds.labels(part).inc(seconds)
