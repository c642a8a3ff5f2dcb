"""The HTTP transport that answers from a cassette, or passes requests on and records them. One session owns it.

It serves sync and async clients alike: httpx2's two transport interfaces have different method names, so one class
has both. Patching the HTTP library instead would record every client of the process and hold a stream back until its
end (docs/decisions/cassettes-behind-a-transport.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

import httpx2

from kodo.client.cassette import Cassette, RecordedResponse


class RecordingTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Replays or records with a cassette; streams pass through as they come.

    Args:
        cassette: decides whether requests are recorded or replayed.
        client: sends the requests that are recorded, with the proxies of the environment, and is closed with this; None where they
            are replayed.
    """

    def __init__(self, cassette: Cassette, client: httpx2.Client | httpx2.AsyncClient | None) -> None:
        self._cassette = cassette
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request of a sync client."""
        body = request.read()
        if not self._cassette.recording:
            return self._play(request, body)
        _ask_for_plain_text(request)
        client = cast(httpx2.Client, self._client)
        return self._tee(request, body, client.send(request, stream=True, follow_redirects=False))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request of an async client."""
        body = await request.aread()
        if not self._cassette.recording:
            return self._play(request, body)
        _ask_for_plain_text(request)
        client = cast(httpx2.AsyncClient, self._client)
        return self._tee(request, body, await client.send(request, stream=True, follow_redirects=False))

    def close(self) -> None:
        """Close the connections of a sync client."""
        if isinstance(self._client, httpx2.Client):
            self._client.close()

    async def aclose(self) -> None:
        """Close the connections of an async client."""
        if isinstance(self._client, httpx2.AsyncClient):
            await self._client.aclose()

    def _play(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        recorded = self._cassette.play(request.method, request.url.raw_path.decode(), body)
        return httpx2.Response(
            recorded.status, headers=dict(recorded.headers), stream=httpx2.ByteStream(recorded.body)
        )

    def _tee(self, request: httpx2.Request, body: bytes, response: httpx2.Response) -> httpx2.Response:
        response.stream = _Tee(self._cassette, request, body, response)
        return response


def _ask_for_plain_text(request: httpx2.Request) -> None:
    """Turn compression off, because a recording is read and masked."""
    request.headers["accept-encoding"] = "identity"


class _Tee(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Passes a body on and keeps a copy; what has arrived when it is closed is what is recorded."""

    def __init__(
        self, cassette: Cassette, request: httpx2.Request, body: bytes, response: httpx2.Response
    ) -> None:
        self._cassette, self._request, self._body, self._response = cassette, request, body, response
        self._real = response.stream
        self._parts: list[bytes] = []
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        for part in cast(httpx2.SyncByteStream, self._real):
            self._parts.append(part)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in cast(httpx2.AsyncByteStream, self._real):
            self._parts.append(part)
            yield part

    def close(self) -> None:
        """Close the real body and record the exchange."""
        cast(httpx2.SyncByteStream, self._real).close()
        self._record()

    async def aclose(self) -> None:
        """Close the real body and record the exchange."""
        await cast(httpx2.AsyncByteStream, self._real).aclose()
        self._record()

    def _record(self) -> None:
        if self._done:
            return
        self._done = True
        request, response = self._request, self._response
        content = RecordedResponse(response.status_code, response.headers, b"".join(self._parts))
        self._cassette.add(
            request.method, request.url.raw_path.decode(), request.headers, self._body, content
        )
