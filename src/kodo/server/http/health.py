"""``/health`` (the process is running), ``/ready`` (every engine is ready), ``/metrics``."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.state import get_state
from kodo.server.lifecycle.errors import StoreFailed


async def health(request: Request) -> Response:
    """``GET /health``; the client half recognises a kodo server by it."""
    return json_response({"status": "ok", "server": "kodo", "version": version("kodo")})


async def ready(request: Request) -> Response:
    """``GET /ready``: 503 while an engine is not ready, or the database cannot be reached."""
    waiting = [name for name, backend in get_state(request).models.items() if not backend.engine.ready]
    try:
        servers = await get_state(request).store.servers()
    except StoreFailed:
        servers, waiting = (), [*waiting, "database"]
    if any(server["self"] and server["lease"] <= 0 for server in servers):
        waiting.append("lease")
    status = {"status": "ready" if not waiting else "waiting", "waiting_for": waiting}
    return json_response(status, 503 if waiting else 200)


async def metrics(request: Request) -> Response:
    """``GET /metrics``."""
    return Response(get_state(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
