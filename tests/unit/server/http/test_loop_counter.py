"""The counters of what happens at each request."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from kodo.server.http.loop_counter import LoopCounter


def test_it_reads_as_prometheus_own_counter() -> None:
    """The same text, but for the time at which a count began."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counted = LoopCounter("kodo_things", "Things, by kind.", ("kind", "size"), ours)
    counter = Counter("kodo_things", "Things, by kind.", ("kind", "size"), registry=theirs)
    counted.add("none", "small", amount=0)
    counter.labels("none", "small")
    for kind, amount in (("a", 1.0), ("b", 2.5), ("a", 3.0)):
        counted.add(kind, "large", amount=amount)
        counter.labels(kind, "large").inc(amount)

    def lines(registry: CollectorRegistry) -> list[str]:
        return [
            line.rpartition(" ")[0] if "_created{" in line else line
            for line in generate_latest(registry).decode().splitlines()
        ]

    assert lines(ours) == lines(theirs)
