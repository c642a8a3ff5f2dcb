"""How a server is spoken to: the SDK's transports, held to limits. The SDK is imported here, on first use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import httpx2

from kodo.server.config import McpSettings
from kodo.server.tools.mcp.excess import TooMuch
from kodo.server.tools.mcp.servers import McpTarget
from kodo.server.tools.mcp.stdio import stdio_transport

if TYPE_CHECKING:
    from mcp.client.client import Client


class LimitedTransport(httpx2.AsyncBaseTransport):
    """HTTP with a limit on the bytes of an answer. ``status`` is the last status that was an error."""

    def __init__(self, most: int) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self._most = most
        self.status: int | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        response = await self._inner.handle_async_request(request)
        self.status = response.status_code if response.status_code >= 400 else None
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise TooMuch(
                "The server's answer is compressed, which was not asked for: its size is not known."
            )
        stream = response.stream
        if not isinstance(stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous transport gives an asynchronous stream")
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Limited(stream, self._most),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise TooMuch("The server's answer was too large.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def new_client(
    target: McpTarget,
    settings: McpSettings,
    http: LimitedTransport,
    on_end: Callable[[TooMuch | None], None],
) -> Client:
    """The SDK's client for a server. It follows no redirect, keeps no cache and offers the server nothing to call back.

    ``on_end``: see :func:`~kodo.server.tools.mcp.stdio.stdio_transport`.
    """
    from mcp.client.client import Client

    return Client(_transport(target, settings, http, on_end), cache=None)


def _transport(
    target: McpTarget,
    settings: McpSettings,
    http: LimitedTransport,
    on_end: Callable[[TooMuch | None], None],
) -> AbstractAsyncContextManager[Any]:
    if target.command:
        return stdio_transport(target, settings.max_bytes, on_end)
    if target.url is None:
        raise ValueError("a target has a URL or a command")

    def http_client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=http,
            headers={**dict(target.headers), **(headers or {}), "accept-encoding": "identity"},
            timeout=httpx2.Timeout(settings.connect_seconds, read=None),
            auth=auth,
            max_redirects=0,
        )

    if target.transport == "sse":
        from mcp.client.sse import sse_client

        return sse_client(target.url, httpx_client_factory=http_client)
    from mcp.client.streamable_http import streamable_http_client

    return streamable_http_client(target.url, http_client=http_client())
