"""A counter for what happens at each request: Prometheus' own takes a lock and checks its labels anew at each step.

For use within one event loop; read at each scrape.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric


class LoopCounter:
    """Counts by the values of ``labels``, under ``name``."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._about = name, help_text
        self._labels = labels
        self._counts: dict[tuple[str, ...], list[float]] = {}
        """The count, and since when (seconds since the epoch)."""
        registry.register(self)

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Count under these values of the labels. An ``amount`` of zero makes them known."""
        found = self._counts.get(values)
        if found is None:
            found = self._counts[values] = [0.0, time.time()]
        found[0] += amount

    def collect(self) -> Iterable[Metric]:
        """Prometheus' interface."""
        family = CounterMetricFamily(*self._about, labels=self._labels)
        for values, (count, since) in self._counts.items():
            family.add_metric(values, count, created=since)
        return (family,)
