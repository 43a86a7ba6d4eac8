"""Logs and metrics. Logs are events: a snake_case name and key-values, on standard error."""

import logging
import sys
import time
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.health import Health
from services.stream.outcome import DeadLetter, Outcome, Skip

LogFormat = Literal["auto", "json", "console"]

MetricName = Literal[
    "evalratchet_records_total",  # records a stage decided about, by stage, outcome and reason
    "evalratchet_last_progress_seconds",  # when a stage's loop last turned, seconds since the epoch
]

_RECORDS: MetricName = "evalratchet_records_total"
_PROGRESS: MetricName = "evalratchet_last_progress_seconds"


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

    def stage(self, name: str) -> "StageMetrics":
        """The metrics of one stage's loop."""
        self.health.expect(name)
        return StageMetrics(name, self._records, self._progress, self.health)


class StageMetrics:
    """What one loop counts."""

    def __init__(self, stage: str, records: Counter, progress: Gauge, health: Health) -> None:
        """Take the process's metrics for one stage."""
        self._stage = stage
        self._health = health
        self._records = records
        self._progress = progress.labels(stage)

    def touch(self) -> None:
        """Say that the loop turned. Liveness is read from this."""
        self._progress.set(time.time())
        self._health.touch(self._stage)

    def count(self, outcome: Outcome) -> None:
        """Count one decision."""
        reason = outcome.reason if isinstance(outcome, (Skip, DeadLetter)) else ""
        self._records.labels(self._stage, type(outcome).__name__.lower(), reason).inc()
