"""OpenTelemetry behind :mod:`kodo.server.lifecycle.tracing`: the extra ``otel``, configured by the standard variables.

On where ``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` is set, ``OTEL_SDK_DISABLED`` is not, and
``OTEL_TRACES_EXPORTER`` does not say ``none``. The SDK reads the rest itself: headers, sampler, batch sizes,
``OTEL_SERVICE_NAME`` (default ``kodo``), ``OTEL_RESOURCE_ATTRIBUTES``. Spans go over HTTP (``http/protobuf``). No text of a
prompt or an answer is in them, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it.

Without the extra this module imports nothing of OpenTelemetry.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kodo.server.lifecycle import genai, tracing
from kodo.server.lifecycle.tracing import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_UNTRACED = ("/health", "/ready", "/metrics", "/ui")


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the standard variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def wants_content(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the standard variable asks for texts in spans. Its values for events alone ask for none: there are no events."""
    return environment.get(_CONTENT, "").strip().lower() in ("true", "span_only", "span_and_event")


def open_provider() -> TracerProvider | None:
    """Start to trace as the environment says; None: it does not ask for it, or the extra is missing (a warning says so)."""
    if not is_wanted():
        return None
    if find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        logger.warning(
            "traces are asked for, but OpenTelemetry is missing: pip install '.[otel]' in kodo's repository"
        )
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "kodo")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracing.install(OtelTracer(provider, wants_content=wants_content()))
    return provider


async def close_provider(provider: TracerProvider) -> None:
    """End tracing. What is left goes to the collector first; one that does not answer is waited for as the variables say."""
    tracing.install(tracing.NoTracer())
    await asyncio.to_thread(provider.shutdown)


class OtelTracer:
    """:class:`kodo.server.lifecycle.tracing.Tracer` over a provider of OpenTelemetry's SDK."""

    def __init__(self, provider: TracerProvider, *, wants_content: bool = False) -> None:
        self._tracer = provider.get_tracer("kodo")
        self.wants_content = wants_content

    def add(self, attributes: Attributes) -> None:
        """See ``Tracer``."""
        from opentelemetry.trace import Status, StatusCode, get_current_span

        current = get_current_span()
        current.set_attributes(dict(attributes))
        if genai.ERROR_TYPE in attributes:
            current.set_status(Status(StatusCode.ERROR))

    @contextlib.contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[None]:
        """See ``Tracer``."""
        with self._tracer.start_as_current_span(name, attributes=dict(attributes)):
            yield

    def record(self, name: str, start: float, end: float, attributes: Attributes) -> None:
        """See ``Tracer``."""
        made = self._tracer.start_span(name, attributes=dict(attributes), start_time=int(start * 1e9))
        made.end(int(max(end, start) * 1e9))

    def outgoing_headers(self) -> Mapping[str, str]:
        """See ``Tracer``."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers)
        return headers


class TraceRequests:
    """ASGI: a span around each request to the API, below the ``traceparent`` that it came with."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer("kodo")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        headers = Headers(scope=scope)
        carried = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        parent = TraceContextTextMapPropagator().extract(carried)
        method = scope["method"]
        with self._tracer.start_as_current_span(method, context=parent, kind=SpanKind.SERVER) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "")
                    span.update_name(f"{method} {route}".strip())
                    span.set_attributes(
                        {
                            "http.request.method": method,
                            "http.route": route,
                            "http.response.status_code": message["status"],
                        }
                    )
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app(scope, receive, noted)
