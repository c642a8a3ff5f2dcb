"""The metrics behind ``/metrics``. None of them contains a key, a user or a prompt."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kodo.server.http.loop_counter import LoopCounter, LoopHistogram
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import HasTargets, Usage

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The server's metrics; also the lifecycle's Observer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = LoopCounter(
            "kodo_http_requests",
            "HTTP requests, by route and status.",
            ("route", "status"),
            self.registry,
        )
        self._responses = LoopCounter(
            "kodo_responses",
            "Responses that ended, by model and status.",
            ("model", "status"),
            self.registry,
        )
        self._tokens = LoopCounter(
            "kodo_tokens",
            "Tokens, by model and kind: input, cached (a part of input), output.",
            ("model", "kind"),
            self.registry,
        )
        self._skipped = LoopCounter(
            "kodo_skipped_tools",
            "Hosted tools that were left out of a mixed list, by type.",
            ("type",),
            self.registry,
        )
        self._unenforced = LoopCounter(
            "kodo_unenforced_keywords",
            "Keywords of tool schemas that were not enforced, by keyword.",
            ("keyword",),
            self.registry,
        )
        self._unenforced.add("pattern", amount=0)  # there from the start, at zero
        self._tool_calls = Histogram(
            "kodo_tool_call_seconds",
            "Calls of tools that the server ran, by type and outcome: done, failed, timeout, interrupted.",
            ("type", "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._tool_calls.labels("mcp", "done")  # there from the start, at zero
        self._first = LoopHistogram(
            "kodo_time_to_first_token_seconds",
            "Time from the request to the first token.",
            "model",
            _SECONDS,
            self.registry,
        )

    def watch(self, models: Mapping[str, Backend]) -> None:
        """Also report the queues and engines of these models."""
        self.registry.register(_Engines(models))

    def identify(self, role: str) -> None:
        """Say which server this is, for sums over several of them."""
        Info(
            "kodo_server", "This server: its name in the cluster, role and version.", registry=self.registry
        ).info({"name": f"{socket.gethostname()}:{os.getpid()}", "role": role, "version": version("kodo")})

    def request(self, route: str, status: int) -> None:
        """Count an HTTP request."""
        self._requests.add(route, str(status))

    def skipped(self, tools: Iterable[str]) -> None:
        """Count the types of tool that were left out of a request."""
        for kind in tools:
            self._skipped.add(kind)

    def unenforced(self, keywords: Iterable[str]) -> None:
        """See :class:`kodo.server.lifecycle.generate.Observer`."""
        for keyword in keywords:
            self._unenforced.add(keyword)

    def tool_called(self, kind: str, outcome: str, seconds: float) -> None:
        """See :class:`kodo.server.lifecycle.hosted.steps.StepObserver`."""
        self._tool_calls.labels(kind, outcome).observe(seconds)

    def first_token(self, model: str, seconds: float) -> None:
        """See :class:`kodo.server.lifecycle.generate.Observer`."""
        self._first.observe(model, seconds)

    def ended(self, model: str, status: str, usage: Usage) -> None:
        """See :class:`kodo.server.lifecycle.generate.Observer`."""
        self._responses.add(model, status)
        self._tokens.add(model, "input", amount=usage.input)
        self._tokens.add(model, "cached", amount=usage.cached)
        self._tokens.add(model, "output", amount=usage.output)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Engines:
    """Queue depth, running requests and restarts, read at each scrape."""

    def __init__(self, models: Mapping[str, Backend]) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """Prometheus' interface."""
        depth = GaugeMetricFamily("kodo_queue_depth", "Requests that wait for the engine.", labels=("model",))
        running = GaugeMetricFamily("kodo_running_requests", "Requests in the engine.", labels=("model",))
        restarts = CounterMetricFamily(
            "kodo_engine_restarts", "Times the engine was started again.", labels=("model",)
        )
        attempts = CounterMetricFamily(
            "kodo_upstream_attempts",
            "Requests to an upstream server, by how they ended.",
            labels=("model", "target", "outcome"),
        )
        up = GaugeMetricFamily(
            "kodo_upstream_up", "Whether an upstream server is asked.", labels=("model", "target")
        )
        in_flight = GaugeMetricFamily(
            "kodo_upstream_in_flight", "Requests at an upstream server.", labels=("model", "target")
        )
        for name, backend in self._models.items():
            if isinstance(backend.engine, HasTargets):
                for stats in backend.engine.target_stats():
                    up.add_metric((name, stats.target), stats.up)
                    in_flight.add_metric((name, stats.target), stats.in_flight)
                    for outcome in ("ok", "unavailable", "busy", "failed", "refused"):
                        attempts.add_metric((name, stats.target, outcome), getattr(stats, outcome))
            depth.add_metric((name,), backend.admission.waiting)
            running.add_metric((name,), backend.admission.running)
            restarts.add_metric((name,), backend.engine.restarts)
        return depth, running, restarts, attempts, up, in_flight
