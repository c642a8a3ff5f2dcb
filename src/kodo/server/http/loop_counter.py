"""A counter and a histogram for what happens at each request: Prometheus' own take a lock and check their labels anew at each
step, and a histogram's goes through its buckets.

For use within one event loop; read at each scrape.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric


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


@dataclass
class _Observed:
    """What was observed under one value of the label: how often in each bucket and above them, and the sum."""

    counts: list[int]
    total: float
    since: float


class LoopHistogram:
    """Counts values by ``label`` in buckets up to each of the ``bounds``, under ``name``."""

    def __init__(
        self, name: str, help_text: str, label: str, bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._about = name, help_text
        self._label = label
        self._bounds = bounds
        self._observed: dict[str, _Observed] = {}
        registry.register(self)

    def observe(self, of: str, value: float) -> None:
        """Count a value under this value of the label."""
        found = self._observed.get(of)
        if found is None:
            found = self._observed[of] = _Observed([0] * (len(self._bounds) + 1), 0.0, time.time())
        found.counts[bisect_left(self._bounds, value)] += 1
        found.total += value

    def collect(self) -> Iterable[Metric]:
        """Prometheus' interface."""
        family = HistogramMetricFamily(*self._about, labels=[self._label])
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for of, observed in self._observed.items():
            buckets = list(zip(names, accumulate(observed.counts), strict=True))
            family.add_metric([of], buckets, observed.total)
            family.add_sample(f"{family.name}_created", {self._label: of}, observed.since)
        return (family,)
