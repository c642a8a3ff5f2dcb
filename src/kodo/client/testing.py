"""A small Responses API for tests of code that uses the toolkit: real sockets, scripted answers, no model.

Answers are taken from a script in order; with none it echoes. A request it does not expect (another path, a body
without ``model`` or ``input``, more requests than the script has) is answered with an error *and* kept in
``problems``, which leaving the ``with`` block raises. A repeated ``Idempotency-Key`` gets the first one's answer again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Event = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    Attributes:
        text: the answer's text; None echoes the last line of the input.
        status, headers, body: an HTTP error instead: its status, headers and JSON body.
        cut_after: streams: drop the connection after this many events; 0 drops it before any.
        garbage: sent as a body with status 200.
        delay: seconds before anything is sent.
        response: fields laid over the Response, for example ``{"status": "failed", "usage": None}``.
    """

    text: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    cut_after: int | None = None
    garbage: str | None = None
    delay: float = 0.0
    response: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def refusal(status: int, code: str | None = None, **headers: str) -> Reply:
    """An error reply in the API's envelope; header names are given with ``_`` for ``-``."""
    error = {"message": f"scripted {status}", "type": "error", "param": None, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body={"error": error})


class FakeResponses:
    """The server. ``with FakeResponses([Reply(...), ...]) as server: Session(base_url=server.base_url)``.

    Args:
        script: a reply for each ``POST /responses``, or a function from the request to its reply; None echoes.
        input_tokens: whether ``POST /responses/input_tokens`` exists. Tokens are words here.
    """

    def __init__(
        self,
        script: Sequence[Reply] | Callable[[ReceivedRequest], Reply] | None = None,
        *,
        input_tokens: bool = True,
    ) -> None:
        self._script = list(script) if isinstance(script, Sequence) else script
        self.input_tokens = input_tokens
        self.requests: list[ReceivedRequest] = []
        self.problems: list[str] = []
        self.stored: dict[str, tuple[Event, list[Event]]] = {}
        self.answered: dict[str, Event] = {}
        """The Response of each ``Idempotency-Key``."""
        self.lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.fake = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """Its base URL, ending in ``/v1``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def posts(self) -> list[ReceivedRequest]:
        """The ``POST /responses`` requests, in order of arrival."""
        with self.lock:
            return [seen for seen in self.requests if (seen.method, seen.path) == ("POST", "/v1/responses")]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        if self.problems and kind is None:
            raise AssertionError("; ".join(self.problems))

    def reply(self, seen: ReceivedRequest) -> Reply:
        """The reply the script has for this request."""
        if callable(self._script):
            return self._script(seen)
        if self._script is None:
            return Reply()
        with self.lock:
            if self._script:
                return self._script.pop(0)
        return self.problem(f"unexpected request: {seen.body}")

    def problem(self, text: str) -> Reply:
        """Keep a problem, and the error reply for it."""
        with self.lock:
            self.problems.append(text)
        return refusal(400, "unexpected")


class _Server(ThreadingHTTPServer):
    fake: FakeResponses
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect early."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        seen = self._seen(json.loads(self.rfile.read(length) or b"{}"))
        if seen.path == "/v1/responses/input_tokens" and self.server.fake.input_tokens:
            words = len(json.dumps(seen.body.get("input")).split())
            self._json(200, {"object": "response.input_tokens", "input_tokens": words})
        elif seen.path == "/v1/responses/input_tokens":
            self._json(
                404, {"error": {"message": "no such path", "type": "error", "param": None, "code": None}}
            )
        elif seen.path == "/v1/responses" and {"model", "input"} <= set(seen.body):
            key = seen.headers.get("idempotency-key")
            known = self.server.fake.answered.get(key or "")
            self._answer(seen, Reply(response=known) if known else self.server.fake.reply(seen))
        else:
            self._answer(seen, self.server.fake.problem(f"{seen.method} {seen.path}"))

    def do_GET(self) -> None:
        seen = self._seen({})
        path, _, query = seen.path.partition("?")
        fields = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
        stored = self.server.fake.stored.get(path.removeprefix("/v1/responses/"))
        if path in ("/health", "/ready"):
            self._json(200, {"status": "ok", "server": "kodo"})
        elif stored is None:
            self._answer(seen, self.server.fake.problem(f"{seen.method} {seen.path}"))
        elif fields.get("stream") == "true":
            after = int(fields.get("starting_after", -1))
            self._stream([event for event in stored[1] if event["sequence_number"] > after], None)
        else:
            self._json(200, stored[0])

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def _seen(self, body: Mapping[str, Any]) -> ReceivedRequest:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = ReceivedRequest(self.command, self.path, headers, body)
        with self.server.fake.lock:
            self.server.fake.requests.append(seen)
        return seen

    def _answer(self, seen: ReceivedRequest, reply: Reply) -> None:
        time.sleep(reply.delay)
        if reply.status != 200:
            self._json(reply.status, reply.body or {}, reply.headers)
        elif reply.garbage is not None:
            self._send(200, reply.garbage.encode(), {"content-type": "application/json"})
        else:
            response = _response(seen, reply)
            if key := seen.headers.get("idempotency-key"):
                self.server.fake.answered[key] = response
            events = _events(response)
            self.server.fake.stored[response["id"]] = (response, events)
            if seen.body.get("stream"):
                self._stream(events, reply.cut_after)
            elif reply.cut_after is not None:
                self._cut()
            elif seen.body.get("background"):
                self._json(200, {**response, "status": "queued", "output": [], "usage": None}, reply.headers)
            else:
                self._json(200, response, reply.headers)

    def _stream(self, events: Sequence[Event], cut_after: int | None) -> None:
        if cut_after == 0:
            self._cut()
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-request-id", "req_fake")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events[:cut_after]:
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        if cut_after is not None and cut_after < len(events):
            self._cut()
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()

    def _json(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"x-request-id": "req_fake", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _response(seen: ReceivedRequest, reply: Reply) -> Event:
    given = seen.body["input"]
    said = given if isinstance(given, str) else str(given[-1].get("content", ""))
    text = reply.text if reply.text is not None else (said.strip().splitlines() or [""])[-1]
    number = time.monotonic_ns()
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
    }
    read, written = len(said.split()), len(text.split())
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "model": seen.body["model"],
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        },
        **reply.response,
    }


def _events(response: Event) -> list[Event]:
    """A stream for a response: created, a delta a word, the last event."""
    open_response = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[Event] = [{"type": "response.created", "response": open_response}]
    for item in response["output"]:
        for part in item.get("content", []):
            words = part["text"].split(" ")
            events.extend(
                {
                    "type": "response.output_text.delta",
                    "item_id": item["id"],
                    "output_index": 0,
                    "content_index": 0,
                    "delta": word if index == 0 else f" {word}",
                    "logprobs": [],
                }
                for index, word in enumerate(words)
            )
    events.append({"type": f"response.{response['status']}", "response": response})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]
