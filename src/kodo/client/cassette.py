"""Record and replay: exchanges with a server, kept in a file, keys and secrets left out.

The cassette is vcrpy's (its YAML format, its matching); the seam is an HTTP transport of ours that one session owns.
vcrpy's own way, patching the HTTP library, would record every client of the process and hold a stream back until it
is through. A request matches by method, path and body, so a recording made against one server replays anywhere.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from kodo.client.errors import ReplayError
from kodo.client.redaction import mask_text

_KEPT_REQUEST_HEADERS = ("content-type", "accept")
_KEPT_RESPONSE_HEADERS = (
    "content-type",
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)


class Cassette:
    """A file of exchanges, being recorded or replayed. Safe to share between threads.

    Equal requests are answered in the order they were recorded, each once.
    """

    def __init__(self, path: Path, *, recording: bool) -> None:
        from vcr.cassette import Cassette as Tape
        from vcr.record_mode import RecordMode
        from yaml import YAMLError

        self.path, self.recording = path, recording
        self._lock = threading.Lock()
        self._tape: Any = Tape(
            str(path),
            record_mode=RecordMode.ALL if recording else RecordMode.NONE,
            match_on=(_same_method, _same_path, _same_body),
        )
        if not recording:
            try:
                self._tape._load()  # how vcrpy itself begins; pinned by tests
            except (OSError, ValueError, YAMLError, KeyError, TypeError) as error:
                raise ReplayError(f"{path}: not a recording ({str(error).splitlines()[0]})") from error
            if not len(self._tape):
                raise ReplayError(f"{path}: no such recording, or an empty one")

    def play(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        """The recorded response.

        Raises:
            ReplayError: the request was not recorded, or all its recordings are used up.
        """
        from vcr.errors import UnhandledHTTPRequestError

        with self._lock:
            try:
                stored = self._tape.play_response(_tape_request(request, body))
            except UnhandledHTTPRequestError:
                raise ReplayError(
                    f"{self.path}: holds no (further) answer to {request.method} {request.url.path} with this body"
                ) from None
        headers = [(name, value) for name, values in stored["headers"].items() for value in values]
        return httpx2.Response(
            stored["status"]["code"], headers=headers, stream=httpx2.ByteStream(stored["body"]["string"])
        )

    def add(self, request: httpx2.Request, body: bytes, response: httpx2.Response, content: bytes) -> None:
        """Keep an exchange, masked."""
        kept = {name: [response.headers[name]] for name in _KEPT_RESPONSE_HEADERS if name in response.headers}
        stored = {
            "status": {"code": response.status_code, "message": response.reason_phrase},
            "headers": kept,
            "body": {"string": _masked(content)},
        }
        with self._lock:
            self._tape.append(_tape_request(request, body), stored)

    def save(self) -> None:
        """Write the file, if this is a recording. Called again, it writes what has come since."""
        if self.recording:
            with self._lock:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._tape._save(force=True)


def open_cassette(record: Path | None, replay: Path | None) -> Cassette | None:
    """The cassette for ``--record`` or ``--replay``; None where neither is given.

    Raises:
        ReplayError: there is no recording at ``replay``.
    """
    if record is not None:
        record.unlink(missing_ok=True)
        return Cassette(record, recording=True)
    return Cassette(replay, recording=False) if replay is not None else None


class RecordingTransport(httpx2.BaseTransport):
    """Answers from a cassette, or passes on and records. Streams pass through as they come."""

    def __init__(self, cassette: Cassette, real: httpx2.BaseTransport | None = None) -> None:
        self._cassette = cassette
        self._real = real or (httpx2.HTTPTransport() if cassette.recording else None)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """See the class."""
        body = request.read()
        if self._real is None:
            return self._cassette.play(request, body)
        request.headers["accept-encoding"] = "identity"  # a recording is to be read and masked
        response = self._real.handle_request(request)
        response.stream = _Tee(self._cassette, request, body, response)
        return response

    def close(self) -> None:
        """Close the real transport."""
        if self._real is not None:
            self._real.close()


class AsyncRecordingTransport(httpx2.AsyncBaseTransport):
    """As :class:`RecordingTransport`, for async clients."""

    def __init__(self, cassette: Cassette, real: httpx2.AsyncBaseTransport | None = None) -> None:
        self._cassette = cassette
        self._real = real or (httpx2.AsyncHTTPTransport() if cassette.recording else None)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See the class."""
        body = await request.aread()
        if self._real is None:
            return self._cassette.play(request, body)
        request.headers["accept-encoding"] = "identity"  # a recording is to be read and masked
        response = await self._real.handle_async_request(request)
        response.stream = _AsyncTee(self._cassette, request, body, response)
        return response

    async def aclose(self) -> None:
        """Close the real transport."""
        if self._real is not None:
            await self._real.aclose()


class _Tee(httpx2.SyncByteStream):
    """Hands a body on and keeps a copy; what had come when it is closed is what is recorded."""

    def __init__(
        self, cassette: Cassette, request: httpx2.Request, body: bytes, response: httpx2.Response
    ) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 -- a sync transport made it
        self._real = response.stream
        self._keep = (cassette, request, body, response)
        self._parts: list[bytes] = []
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        for part in self._real:
            self._parts.append(part)
            yield part

    def close(self) -> None:
        self._real.close()
        if not self._done:
            self._done = True
            cassette, request, body, response = self._keep
            cassette.add(request, body, response, b"".join(self._parts))


class _AsyncTee(httpx2.AsyncByteStream):
    """As :class:`_Tee`, for async bodies."""

    def __init__(
        self, cassette: Cassette, request: httpx2.Request, body: bytes, response: httpx2.Response
    ) -> None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 -- an async transport made it
        self._real = response.stream
        self._keep = (cassette, request, body, response)
        self._parts: list[bytes] = []
        self._done = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._real:
            self._parts.append(part)
            yield part

    async def aclose(self) -> None:
        await self._real.aclose()
        if not self._done:
            self._done = True
            cassette, request, body, response = self._keep
            cassette.add(request, body, response, b"".join(self._parts))


def _tape_request(request: httpx2.Request, body: bytes) -> Any:
    from vcr.request import Request

    headers = {name: request.headers[name] for name in _KEPT_REQUEST_HEADERS if name in request.headers}
    # The host is not part of what is matched, and may be private.
    query = request.url.query.decode()
    url = f"http://server{_api_path(request.url.path)}{'?' + query if query else ''}"
    return Request(request.method, url, _masked(body), headers)


def _api_path(path: str) -> str:
    """The path from ``/v1`` on, whatever prefix a gateway puts before it."""
    _, found, rest = path.rpartition("/v1/")
    return f"/v1/{rest}" if found else path


def _masked(data: bytes) -> bytes:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    return mask_text(text)[0].encode()


def _same_method(one: Any, other: Any) -> bool:
    return bool(one.method == other.method)


def _same_path(one: Any, other: Any) -> bool:
    first, second = urlsplit(one.uri), urlsplit(other.uri)
    return (first.path, first.query) == (second.path, second.query)


def _same_body(one: Any, other: Any) -> bool:
    return _parsed(one.body) == _parsed(other.body)


def _parsed(body: bytes | None) -> object:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return body
