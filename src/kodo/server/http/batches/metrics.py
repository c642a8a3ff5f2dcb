"""The Prometheus metrics of batches. See docs/reference/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric

from kodo.server.wire.batches import BatchStatus


class BatchMetrics:
    """Counters of this process's work on batches."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._ended = Counter(
            "kodo_batches_ended", "Batches that ended, by status.", ("status",), registry=registry
        )
        self._requests = Counter(
            "kodo_batch_requests",
            "Requests of batches whose result is on disk, by result: completed, failed.",
            ("result",),
            registry=registry,
        )

    def watch_unfinished(self, unfinished: Callable[[], Mapping[BatchStatus, int]]) -> None:
        """Also report the number of unfinished batches in each status."""
        self._registry.register(_UnfinishedCollector(unfinished))

    def batch_ended(self, status: BatchStatus) -> None:
        """Count a batch that reached this final status."""
        self._ended.labels(status).inc()

    def request_finished(self, status_code: int) -> None:
        """Count a request whose result is on disk, by its HTTP status."""
        self._requests.labels("completed" if status_code < 400 else "failed").inc()


class _UnfinishedCollector:
    """A gauge whose values are read at each scrape."""

    def __init__(self, unfinished: Callable[[], Mapping[BatchStatus, int]]) -> None:
        self._unfinished = unfinished

    def collect(self) -> Iterable[Metric]:
        """Implement the collector interface of ``prometheus_client``."""
        batches = GaugeMetricFamily(
            "kodo_batches", "Batches that are not over, by status.", labels=("status",)
        )
        for status, count in self._unfinished().items():
            batches.add_metric((status,), count)
        return (batches,)
