"""Traces: a span for each part of a response, below the caller's, and on to the upstream server. Never a text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests.serving import MODEL, script, served, settings

from kodo.server.config import ModelSettings
from kodo.server.http import app
from kodo.server.http.tracing import OtelTracer, is_wanted, open_provider, wants_content
from kodo.server.lifecycle import genai, tracing
from kodo.server.lifecycle.trace_content import MAX_TEXT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
CONTENT = {genai.INPUT_MESSAGES, genai.OUTPUT_MESSAGES, genai.SYSTEM_INSTRUCTIONS}


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Servers that trace into memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(app, "open_provider", lambda: provider)
    tracing.install(OtelTracer(provider))
    yield exporter
    tracing.install(tracing.NoTracer())


def parent_of(span: ReadableSpan) -> str:
    return "" if span.parent is None else f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.span_id:016x}"


async def test_the_parts_of_a_response_are_spans_below_the_callers(
    tmp_path: Path, exported: InMemorySpanExporter
) -> None:
    """Request, chat, queue, prefill, decode and store are one trace; upstream is asked inside it and continues it."""
    (tmp_path / "far").mkdir()
    async with served(settings(tmp_path / "far")) as far:
        upstream = ModelSettings(engine="upstream", target=MODEL, base_url=f"{far.url}/v1", api="responses")
        (tmp_path / "near").mkdir()
        async with served(settings(tmp_path / "near", upstream)) as near, near.http() as http:
            body = {"model": MODEL, "input": "sesame", "instructions": "sesame", "metadata": {"a": "sesame"}}
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
            answer = await http.post("/v1/responses", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
    spans = [span for span in exported.get_finished_spans() if id_of(span)]
    traced = [span for span in spans if f"{span.get_span_context().trace_id:032x}" == TRACE]
    requests = [span for span in traced if span.name == "POST /v1/responses"]
    near_request = next(span for span in requests if parent_of(span) == PARENT)
    far_request = next(span for span in requests if span is not near_request)
    names = {id_of(span): span for span in traced}
    assert names[parent_of(far_request)].name == genai.UPSTREAM
    chat = next(
        span for span in traced if span.name == f"chat {MODEL}" and parent_of(span) == id_of(near_request)
    )
    children = {span.name: span for span in traced if parent_of(span) == id_of(chat)}
    assert {genai.QUEUE, genai.PREFILL, genai.DECODE, genai.STORE, genai.UPSTREAM} <= set(children)
    assert chat.attributes is not None
    assert chat.attributes[genai.OPERATION] == "chat"
    assert chat.attributes[genai.REQUEST_MODEL] == MODEL
    decode = children[genai.DECODE].attributes
    assert decode is not None
    assert decode[genai.OUTPUT_TOKENS] == answer.json()["usage"]["output_tokens"]
    times = [
        (children[name].start_time, children[name].end_time)
        for name in (genai.QUEUE, genai.PREFILL, genai.DECODE)
    ]
    assert times[0][1] == times[1][0]
    assert times[1][1] == times[2][0]
    assert "sesame" not in json.dumps([span.to_json() for span in spans])


async def test_a_response_that_failed_is_an_error_in_its_trace(
    tmp_path: Path, exported: InMemorySpanExporter
) -> None:
    """With the kind of error; one that came to its end has its tokens, and is none."""
    turns = (
        {"match": "bad", "steps": [{"type": "fail", "message": "broken"}]},
        {"match": "good", "steps": [{"type": "text", "text": "fine"}]},
    )
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server, server.http() as http:
        for text in ("bad", "good"):
            await http.post("/v1/responses", json={"model": MODEL, "input": text})
    failed, done = (span for span in exported.get_finished_spans() if span.name == f"chat {MODEL}")
    assert failed.attributes is not None and done.attributes is not None
    assert (failed.status.status_code, failed.attributes[genai.STATUS]) == (StatusCode.ERROR, "failed")
    assert failed.attributes[genai.ERROR_TYPE]
    assert (done.status.status_code, done.attributes[genai.STATUS]) == (StatusCode.UNSET, "completed")
    assert done.attributes[genai.OUTPUT_TOKENS] == 1
    assert genai.ERROR_TYPE not in done.attributes


class Collector(BaseHTTPRequestHandler):
    """What collectors take: ``POST /v1/traces`` with protobuf; it keeps the spans and the headers."""

    spans: ClassVar[list[tuple[str, Span]]]
    """Each with the service that it is of."""
    keys: ClassVar[set[str | None]]

    def do_POST(self) -> None:
        """Decode an export request and accept it."""
        body = self.rfile.read(int(self.headers["content-length"]))
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        self.keys.add(self.headers["x-key"])
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans.extend(
                (names["service.name"], span) for scope in resource.scope_spans for span in scope.spans
            )
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as its class names it
        """Say nothing."""


async def test_a_collector_is_sent_the_spans_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the standard variables say: address, headers and service's name; all of them have arrived when the server has
    stopped, and the trace is the caller's."""
    Collector.spans, Collector.keys = [], set()
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=k1")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "codex-here")
    try:
        async with served(settings(tmp_path)) as server, server.http() as http:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            body = {"model": MODEL, "input": "sesame"}
            answer = await http.post("/v1/responses", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
    finally:
        collector.shutdown()
        collector.server_close()
    assert {service for service, _ in Collector.spans} == {"codex-here"}
    assert Collector.keys == {"k1"}
    spans = {span.name: span for _, span in Collector.spans if span.trace_id.hex() == TRACE}
    request, chat = spans["POST /v1/responses"], spans[f"chat {MODEL}"]
    assert (request.parent_span_id.hex(), request.kind) == (PARENT, Span.SPAN_KIND_SERVER)
    assert chat.parent_span_id == request.span_id
    below = {name for name, span in spans.items() if span.parent_span_id == chat.span_id}
    assert below >= {genai.QUEUE, genai.PREFILL, genai.DECODE, genai.STORE}
    assert not any(b"sesame" in span.SerializeToString() for span in spans.values())


async def test_texts_are_in_a_span_where_they_are_asked_for_and_masked(
    tmp_path: Path, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instructions, messages, calls and their outputs; without a mask from start-up there are none all the same."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    tracing.install(OtelTracer(provider, wants_content=True))
    monkeypatch.setattr(tracing, "_mask", None)
    long = "w" * (MAX_TEXT - 5) + " sesame"
    items = [
        {"role": "user", "content": "open sesame"},
        {"type": "function_call", "call_id": "c1", "name": "knock", "arguments": '{"door": "sesame"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "sesame"},
        {"role": "user", "content": long},
    ]
    body = {"model": MODEL, "input": items, "instructions": "sesame"}
    async with served(settings(tmp_path)) as server, server.http() as http:
        for masks in (False, True):
            if masks:
                tracing.lend_mask(lambda text: text.replace("sesame", "[masked]"))
            answer = await http.post("/v1/responses", json=body)
            assert answer.status_code == 200, answer.text
    first, second = (
        span.attributes or {} for span in exported.get_finished_spans() if span.name == f"chat {MODEL}"
    )
    assert not set(first) & CONTENT
    assert set(second) >= CONTENT
    given = json.loads(str(second[genai.INPUT_MESSAGES]))
    assert given[0] == {"role": "user", "parts": [{"type": "text", "content": "open [masked]"}]}
    assert given[1]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "knock", "arguments": '{"door": "[masked]"}'}
    ]
    assert given[2] == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "c1", "response": "[masked]"}],
    }
    assert len(given[3]["parts"][0]["content"]) == MAX_TEXT
    assert given[3]["parts"][0]["content"].endswith("w [mas"), "a secret over the cut"
    (made,) = json.loads(str(second[genai.OUTPUT_MESSAGES]))
    assert made["role"] == "assistant"
    assert "sesame" not in json.dumps([span.to_json() for span in exported.get_finished_spans()])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("", False), ("false", False), ("event_only", False), ("true", True), ("SPAN_ONLY", True)],
)
def test_content_is_off_unless_its_variable_asks_for_it(value: str, wanted: bool) -> None:
    """The conventions' own variable."""
    assert wants_content({"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": value}) is wanted
    assert not wants_content({})


def test_the_standard_variables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off without an endpoint, and where they say so; nothing is opened then."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert is_wanted(endpoint)
    assert not is_wanted({})
    assert not is_wanted({**endpoint, "OTEL_SDK_DISABLED": "true"})
    assert not is_wanted({**endpoint, "OTEL_TRACES_EXPORTER": "none"})
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert open_provider() is None
    assert tracing.outgoing_headers() == {}
