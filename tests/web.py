"""The small web of :mod:`kodo.server.tools.web_search.testing`, served in the test's own loop; and kodo over it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from kodo.server.config import ToolSettings, WebSearchSettings
from kodo.server.tools.web_search.testing import FakePage, FakeWeb

TEA = FakePage(
    "tea",
    "Steeping green tea",
    "<article><h1>Steeping green tea</h1><p>Green tea is steeped for two minutes at seventy degrees.</p>"
    "<p>Black tea is steeped for four minutes at ninety-five degrees, and oolong for three.</p></article>",
    "Green tea is steeped for two minutes at seventy degrees.",
)
KYOTO = FakePage(
    "kyoto",
    "京都の寺 拝観案内",
    "<article><h1>京都の寺</h1><p>本堂の拝観は午前九時から午後四時までです。</p><p>入場料は五百円です。</p></article>",
    "本堂の拝観は午前九時から午後四時までです。",
)


@contextlib.asynccontextmanager
async def served_app(app: ASGIApp) -> AsyncIterator[int]:
    """An application on a free port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the test runner has its own
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


@contextlib.asynccontextmanager
async def served_web(*pages: FakePage, **options: Any) -> AsyncIterator[tuple[FakeWeb, int]]:
    """The web with these pages, and its port."""
    web = FakeWeb(pages or (TEA, KYOTO), **options)
    async with served_app(web.app()) as port:
        yield web, port


@contextlib.contextmanager
def web_in_thread(*pages: FakePage) -> Iterator[tuple[FakeWeb, int]]:
    """The same in a thread with a loop of its own, for tests that wait for other programs."""
    started: queue.SimpleQueue[tuple[FakeWeb, int]] = queue.SimpleQueue()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with served_web(*pages) as served:
            started.put(served)
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.get(timeout=30)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def search_settings(port: int, **options: Any) -> WebSearchSettings:
    """The settings of a search over a web on this port, whose pages may be opened although they are on this machine."""
    here: dict[str, Any] = {"ports": (port,), "networks": ("127.0.0.0/8",)}
    given = {"backend": "searxng", "url": f"http://127.0.0.1:{port}", **here, **options}
    return WebSearchSettings(**given)


def tool_settings(port: int, **options: Any) -> ToolSettings:
    """The same as the settings of all tools."""
    return ToolSettings(web_search=search_settings(port, **options))


@contextlib.asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[int]:
    """A server that answers with bytes of the test's own."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
