"""The real server inside the test's own event loop, on a free port of 127.0.0.1; and its clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import uvicorn

from kodo.server.config import ModelSettings, Settings
from kodo.server.http.app import build_app, open_state
from kodo.server.http.connection_pool import ConnectionPool
from kodo.server.http.serve import Pages
from kodo.server.http.server_config import server_config
from kodo.server.http.state import State
from kodo.server.lifecycle.hosted.ports import HostedTool
from kodo.server.lifecycle.ports import Clock

MODEL = "codex-mini-latest"


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    state: State
    pool: ConnectionPool

    def sdk(self, api_key: str = "any", **options: Any) -> openai.AsyncOpenAI:
        """The unmodified SDK, without its own retries."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, **options)

    def http(self, **options: Any) -> httpx2.AsyncClient:
        """A bare HTTP client."""
        return httpx2.AsyncClient(base_url=self.url, timeout=60, **options)


class MovedClock:
    """The machine's clock, moved ahead by ``moved`` seconds."""

    moved = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.moved


def script(path: Path, *turns: dict[str, Any], pace: float = 0.0) -> ModelSettings:
    """A scripted model: each turn is ``{"match": …, "steps": […]}``. Without turns it echoes."""
    if not turns and not pace:
        return ModelSettings(engine="scripted", target="")
    path.mkdir(parents=True, exist_ok=True)
    file = path / f"script-{len(list(path.glob('script-*')))}.json"
    file.write_text(json.dumps({"pace": pace, "turns": list(turns)}))
    return ModelSettings(engine="scripted", target=str(file))


def settings(home: Path, model: ModelSettings | None = None, **options: Any) -> Settings:
    """Settings with one model behind ``codex-mini-latest``, kept apart from this machine's own."""
    models = {MODEL: model or ModelSettings(engine="scripted", target="")}
    return Settings(**{"home": home, "models": models, "shutdown_seconds": 2, **options})


@contextlib.asynccontextmanager
async def served(
    given: Settings,
    clock: Clock | None = None,
    *,
    tools: Mapping[str, HostedTool] | None = None,
    pages: Pages | None = None,
) -> AsyncIterator[Served]:
    """Serve for the length of a block. ``tools``: in the place of those that the settings turn on; ``pages`` as for
    :func:`kodo.server.http.serve.serve`."""
    async with open_state(given, clock=clock, tools=tools) as state:
        listener = socket.create_server((given.host, 0))
        app = build_app(state, pages(state) if pages is not None else ())
        config = server_config(app, given, state.body_memory, timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the test runner has its own
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", state, config.pool)
        finally:
            server.should_exit = True
            await task
            listener.close()
