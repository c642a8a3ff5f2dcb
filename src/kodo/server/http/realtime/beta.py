"""The beta of the Realtime API: other names for settings and events, and ``POST /v1/realtime/sessions`` for client secrets.

The hosted service retired it in May 2026. Its clients are told so in the words of that service; they would wait for ever for
events under their old names.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from kodo.server.http.errors import translate
from kodo.server.http.sockets import send
from kodo.server.http.state import get_state
from kodo.server.lifecycle.errors import InvalidRequest

PATHS: Final = ("/v1/realtime/sessions", "/v1/realtime/transcription_sessions")
CLOSE_CODE: Final = 4000
_HEADER: Final = "realtime=v1"
_SUBPROTOCOL: Final = "openai-beta.realtime-v1"


class BetaRetired(InvalidRequest):
    """The client speaks the beta of the Realtime API."""

    code = "beta_api_shape_disabled"


def speaks_beta(socket: WebSocket) -> bool:
    """Whether a connection asks for the beta, by the header, or the subprotocol that browsers send in its place."""
    header = socket.headers.get("openai-beta", "")
    return _HEADER in header or _SUBPROTOCOL in (socket.scope.get("subprotocols") or [])


async def refuse_socket(socket: WebSocket) -> None:
    """Accept a connection, say what is wrong as an event, and end it: a browser sees nothing of a handshake that is refused."""
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocol="realtime" if "realtime" in offered else None)
    error = BetaRetired(
        "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
    )
    body = translate(error)[1].error
    told = {"type": body.type, "code": body.code, "message": body.message, "param": None, "event_id": None}
    await send(socket, {"type": "error", "event_id": get_state(socket).ids.new("event"), "error": told})
    await socket.close(CLOSE_CODE, f"{body.type}.{body.code}")


async def refuse(request: Request) -> Response:
    """The endpoints that made a session, with a short-lived key, before ``client_secrets`` did."""
    raise BetaRetired(
        "The Realtime Beta API is no longer supported. Please use POST /v1/realtime/client_secrets for the GA API, with "
        "these settings under 'session'."
    )
