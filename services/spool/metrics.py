"""The spool's figures, read when somebody asks for the metrics."""

import time
from collections.abc import Iterator
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.spool.publisher import SpoolingPublisher
from services.spool.spool import Spool

SpoolMetricName = Literal[
    "evalratchet_spool_active",  # 1 while the spool takes what comes, 0 while the stream does
    "evalratchet_spool_bytes",  # what the spool takes on the disk
    "evalratchet_spool_limit_bytes",  # what it may take at most
    "evalratchet_spool_messages",  # messages that wait to be sent
    "evalratchet_spool_oldest_age_seconds",  # for how long the first of them has waited
    "evalratchet_spool_refused_total",  # messages answered 503, since the spool could not take them
    "evalratchet_spool_set_aside_total",  # files that could not be read
    "evalratchet_spool_damaged_total",  # messages that the disk gave back with other bytes
]


class _SpoolCollector(Collector):
    def __init__(self, publisher: SpoolingPublisher, spool: Spool) -> None:
        self._publisher = publisher
        self._spool = spool

    def collect(self) -> Iterator[Metric]:
        spool, publisher = self._spool, self._publisher
        oldest_ms = spool.oldest_ms
        age = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        gauges: dict[SpoolMetricName, tuple[str, float]] = {
            "evalratchet_spool_active": ("1 while the spool takes what comes", publisher.active),
            "evalratchet_spool_bytes": ("What the spool takes on the disk", spool.disk_bytes()),
            "evalratchet_spool_limit_bytes": ("What it may take at most", spool.max_bytes),
            "evalratchet_spool_messages": ("Messages that wait to be sent", spool.waiting),
            "evalratchet_spool_oldest_age_seconds": ("How long the first has waited", age),
        }
        counters: dict[SpoolMetricName, tuple[str, int]] = {
            "evalratchet_spool_refused_total": ("Messages answered 503", publisher.refused),
            "evalratchet_spool_set_aside_total": ("Files that could not be read", spool.set_aside),
            "evalratchet_spool_damaged_total": (
                "Messages that the disk gave back with other bytes",
                spool.damaged_messages,
            ),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=float(value))
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(name, text, value=value)


def watch(publisher: SpoolingPublisher, spool: Spool, registry: CollectorRegistry) -> None:
    """Show the spool's figures in a registry."""
    registry.register(_SpoolCollector(publisher, spool))
