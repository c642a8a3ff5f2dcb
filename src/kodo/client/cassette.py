"""A cassette: exchanges with a server in a file, keys and secrets left out, to be answered from later.

The file is JSON lines. The first line is ``{"kodo_cassette": 1}``, each further line one exchange::

    {"request": {"method", "path", "headers", "body"}, "response": {"status", "headers", "body"}}

A body is text; bytes that are not UTF-8 are ``{"base64": ...}``. Lines are appended as exchanges end, so a process that
is killed leaves what it had recorded. A request matches by method, path and body (compared as JSON), so a recording
made against one server replays anywhere. This module knows no transport: :mod:`kodo.client.recording` has it.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kodo.client.errors import ReplayError
from kodo.client.event_redaction import mask_events
from kodo.client.redaction import mask, mask_text

_HEADER = {"kodo_cassette": 1}
_REQUEST_HEADERS = ("content-type", "accept")
_RESPONSE_HEADERS = ("content-type", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry")

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """A response as the cassette holds it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Cassette:
    """A file of exchanges, being recorded or replayed. Safe to share between threads.

    Made by :meth:`create` and :meth:`load`. Equal requests are answered in the order they were recorded, each once.
    """

    path: Path
    recording: bool
    _responses: dict[_Key, deque[RecordedResponse]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def create(cls, path: Path) -> Cassette:
        """Start a recording; a file that is there is replaced.

        Raises:
            ReplayError: the file cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(_HEADER) + "\n", "utf-8")
        except OSError as error:
            raise ReplayError(f"{path}: cannot be written ({error.strerror})") from error
        return cls(path, recording=True)

    @classmethod
    def load(cls, path: Path) -> Cassette:
        """Read a recording.

        Raises:
            ReplayError: there is no recording at ``path``, it is empty, or it is not a cassette.
        """
        try:
            # What follows the last line end is a line that was cut off by a kill, or nothing.
            header, *lines = path.read_text("utf-8").split("\n")[:-1] or [""]
            if json.loads(header) != _HEADER:
                raise ValueError("the first line is not that of a cassette")
            cassette = cls(path, recording=False)
            for line in lines:
                cassette._keep(json.loads(line))
        except FileNotFoundError:
            raise ReplayError(f"{path}: no such recording") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReplayError(f"{path}: not a recording ({str(error).splitlines()[0]})") from error
        if not lines:
            raise ReplayError(f"{path}: the recording is empty")
        return cassette

    def play(self, method: str, path: str, body: bytes) -> RecordedResponse:
        """The next recorded response to a request.

        Raises:
            ReplayError: the request was not recorded, or all its recordings are used up.
        """
        with self._lock:
            responses = self._responses.get(_key(method, _api_path(path), _masked(body)))
            if responses:
                return responses.popleft()
        raise ReplayError(f"{self.path}: no (further) recorded response to {method} {path} with this body")

    def add(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, response: RecordedResponse
    ) -> None:
        """Append an exchange to the file, masked.

        Raises:
            ReplayError: the file cannot be written.
        """
        exchange = {
            "request": {
                "method": method,
                "path": _api_path(path),  # without the host, which may be private
                "headers": _pick(headers, _REQUEST_HEADERS),
                "body": _to_json(_masked(body)),
            },
            "response": {
                "status": response.status,
                "headers": _pick(response.headers, _RESPONSE_HEADERS),
                "body": _to_json(_masked_answer(response)),
            },
        }
        line = json.dumps(exchange, ensure_ascii=False) + "\n"
        try:
            with self._lock, self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise ReplayError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _keep(self, exchange: Mapping[str, Any]) -> None:
        request, response = exchange["request"], exchange["response"]
        key = _key(request["method"], request["path"], _from_json(request["body"]))
        recorded = RecordedResponse(
            int(response["status"]), dict(response["headers"]), _from_json(response["body"])
        )
        self._responses.setdefault(key, deque()).append(recorded)


def open_cassette(record: Path | None, replay: Path | None) -> Cassette | None:
    """The cassette for ``--record`` or ``--replay``; None where neither is given.

    Raises:
        ReplayError: there is no recording at ``replay``, or ``record`` cannot be written.
    """
    if record is not None:
        return Cassette.create(record)
    return Cassette.load(replay) if replay is not None else None


def _key(method: str, path: str, body: bytes) -> _Key:
    """What two requests have in common that get the same answer; JSON bodies are compared as values."""
    try:
        canonical = json.dumps(json.loads(body or b"null"), sort_keys=True)
    except ValueError:
        canonical = repr(body)
    return method, path, canonical


def _api_path(path: str) -> str:
    """The path with its query from ``/v1`` on, without the prefix that a gateway puts before it."""
    before, query_mark, query = path.partition("?")
    _, found, rest = before.rpartition("/v1/")
    return (f"/v1/{rest}" if found else before) + query_mark + query


def _pick(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


def _masked(data: bytes) -> bytes:
    """A body without its secrets; JSON is masked string by string, so that it stays JSON."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return mask_text(text)[0].encode()
    masked = mask(value)
    return json.dumps(masked.value, ensure_ascii=False).encode() if masked.found else data


def _masked_answer(response: RecordedResponse) -> bytes:
    """The body of a response without its secrets; of a stream also without those that go over several events."""
    if "text/event-stream" not in response.headers.get("content-type", ""):
        return _masked(response.body)
    try:
        return mask_events(response.body.decode()).encode()
    except UnicodeDecodeError:
        return response.body


def _to_json(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _from_json(body: str | Mapping[str, str]) -> bytes:
    return body.encode() if isinstance(body, str) else base64.b64decode(body["base64"])
