"""Logs and metrics. Logs are events: a snake_case name and key-values, on standard error."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from capture.events import Fault
from services.dedup_metrics import DedupMetricName, DedupMetrics
from services.health import Health
from services.stream.holding import HeldProject
from services.stream.outcome import DeadLetter, Outcome, Skip

LogFormat = Literal["auto", "json", "console"]

MetricName = Literal[
    "evalratchet_records_total",  # records a stage decided about, by stage, outcome and reason
    "evalratchet_last_progress_seconds",  # when a stage's loop last turned, seconds since the epoch
    "evalratchet_held_records",  # records set aside for a project that waits, by stage and project
    "evalratchet_requests_total",  # requests answered, by route (or `other`) and status
    "evalratchet_items_total",  # what clients sent, by kind, outcome and reason
    "evalratchet_redactions_total",  # what was taken out of traces, by kind
    "evalratchet_failures_total",  # failures found, by project and fault
    "evalratchet_scorer_errors_total",  # scorers that could not say anything, by project and scorer
    "evalratchet_archive_bytes",  # what the archive takes on the disk, looked at every ten minutes
    DedupMetricName,  # the funnel's
]

ItemKind = Literal["trace", "span", "log_record", "feedback"]

ItemReason = Literal[
    "",  # it was accepted
    "invalid",  # it could be read and cannot be taken
    "too_large",  # more bytes than a trace may have
    "forbidden",  # the key is of another project
    "conflict",  # its Idempotency-Key was used for something else
]

_RECORDS: MetricName = "evalratchet_records_total"
_PROGRESS: MetricName = "evalratchet_last_progress_seconds"
_HELD: MetricName = "evalratchet_held_records"
_REQUESTS: MetricName = "evalratchet_requests_total"
_ITEMS: MetricName = "evalratchet_items_total"
_REDACTIONS: MetricName = "evalratchet_redactions_total"
_ARCHIVE: MetricName = "evalratchet_archive_bytes"
_FAILURES: MetricName = "evalratchet_failures_total"
_SCORER_ERRORS: MetricName = "evalratchet_scorer_errors_total"


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send every log line, the libraries' included, to standard error in one format."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    errors = [] if console else [structlog.processors.format_exc_info]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *errors, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()  # noqa: TID251 - the one place where libraries are bridged
    root.handlers[:] = [handler]
    # what libraries say in passing is theirs; their warnings are ours
    root.setLevel(level if level in {"DEBUG", "ERROR"} else "WARNING")
    logging.getLogger("services").setLevel(level)  # noqa: TID251 - the same
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Register every metric of `MetricName`."""
        self.health = Health()
        self.registry = CollectorRegistry()
        self.dedup = DedupMetrics(self.registry)
        self._records = Counter(
            _RECORDS,
            "Records a stage decided about",
            ["stage", "outcome", "reason"],
            registry=self.registry,
        )
        self._progress = Gauge(
            _PROGRESS,
            "When a stage's loop last turned, seconds since the epoch",
            ["stage"],
            registry=self.registry,
        )

        self._held = Gauge(
            _HELD,
            "Records set aside for a project that has to wait",
            ["stage", "project"],
            registry=self.registry,
        )
        self._requests = Counter(
            _REQUESTS, "Requests answered", ["route", "status"], registry=self.registry
        )
        self._by_route: dict[tuple[str, int], Counter] = {}
        self._items = Counter(
            _ITEMS, "What clients sent", ["kind", "outcome", "reason"], registry=self.registry
        )
        self._redactions = Counter(
            _REDACTIONS, "What was taken out of traces", ["kind"], registry=self.registry
        )

        self._archive = Gauge(
            _ARCHIVE, "What the archive takes on the disk, in bytes", registry=self.registry
        )
        self._failures = Counter(
            _FAILURES, "Failures found", ["project", "fault"], registry=self.registry
        )
        self._scorer_errors = Counter(
            _SCORER_ERRORS,
            "Scorers that could not say anything about a trace",
            ["project", "scorer"],
            registry=self.registry,
        )

    def show_archive(self, size: int) -> None:
        """Show how much the archive keeps."""
        self._archive.set(size)

    def count_failure(self, project: str, fault: Fault) -> None:
        """Count a failure that goes to `failures`."""
        self._failures.labels(project, fault).inc()

    def count_scorer_error(self, project: str, scorer: str) -> None:
        """Count a scorer, by its name and version, that raised or gave no usable answer."""
        self._scorer_errors.labels(project, scorer).inc()

    def count_request(self, route: str, status: int) -> None:
        """Count an answer. `route` is one of a closed set; 499 is a client that went away."""
        counter = self._by_route.get((route, status))
        if counter is None:  # looking labels up costs as much as counting
            counter = self._by_route[route, status] = self._requests.labels(route, str(status))
        counter.inc()

    def count_redactions(self, kind: str, number: int) -> None:
        """Count what redaction took out. `kind` is built in, or the name of a policy's pattern."""
        self._redactions.labels(kind).inc(number)

    def count_items(self, kind: ItemKind, reason: ItemReason, number: int) -> None:
        """Count items that were accepted (no reason) or rejected."""
        if number:
            outcome = "rejected" if reason else "accepted"
            self._items.labels(kind, outcome, reason).inc(number)

    def stage(self, name: str) -> "StageMetrics":
        """The metrics of one stage's loop."""
        self.health.expect(name)
        return StageMetrics(name, self._records, self._progress, self._held, self.health)


class StageMetrics:
    """What one loop counts."""

    def __init__(
        self, stage: str, records: Counter, progress: Gauge, held: Gauge, health: Health
    ) -> None:
        """Take the process's metrics for one stage."""
        self._stage = stage
        self._health = health
        self._records = records
        self._progress = progress.labels(stage)
        self._held = held
        self._shown: set[str] = set()

    def touch(self) -> None:
        """Say that the loop turned. Liveness is read from this."""
        self._progress.set(time.time())
        self._health.touch(self._stage)

    def show_held(self, projects: Mapping[str, HeldProject]) -> None:
        """Show what waits in the store for projects that cannot go on, and why."""
        for gone in self._shown - projects.keys():
            self._held.remove(self._stage, gone)
            self._health.note(f"{self._stage}: {gone}", None)
        self._shown = set(projects)
        for project, one in projects.items():
            self._held.labels(self._stage, project).set(one.records)
            self._health.note(f"{self._stage}: {project}", f"{one.records} held: {one.why}")

    def count(self, outcome: Outcome) -> None:
        """Count one decision."""
        reason = outcome.reason if isinstance(outcome, (Skip, DeadLetter)) else ""
        self._records.labels(self._stage, type(outcome).__name__.lower(), reason).inc()
