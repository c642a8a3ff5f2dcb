"""uvicorn's configuration for this server: what a connection may cost before anybody is known, and all of them together.

Its protocols are uvicorn's with limits, :mod:`kodo.server.http.http_connection` and
:mod:`kodo.server.http.websocket_connection`: on the bytes and the number of headers, on the time for headers, for a body
without progress and for a reader that stopped, on control frames, on the bytes of unfinished messages, and on the number of
connections (:mod:`kodo.server.http.connection_pool`).
"""

from __future__ import annotations

from typing import Any

from kodo.server.config import Settings
from kodo.server.http.body_memory import BodyMemory
from kodo.server.http.connection_pool import PooledConfig
from kodo.server.http.http_connection import HttpConnection
from kodo.server.http.websocket_connection import WebSocketConnection


def server_config(app: Any, settings: Settings, memory: BodyMemory, **options: Any) -> PooledConfig:
    """The configuration; ``options`` are uvicorn's."""
    limits = settings.limits
    return PooledConfig(
        app,
        limits,
        memory,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_max_size=limits.body_bytes,
        ws_per_message_deflate=False,
        timeout_keep_alive=max(1, round(limits.idle_seconds)),
        **options,
    )
