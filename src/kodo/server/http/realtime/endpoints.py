"""The WebSocket ``/v1/realtime``, and ``POST /v1/realtime/client_secrets``: a short-lived key with its session settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from kodo.server.http.bodies import json_response
from kodo.server.http.errors import error_response
from kodo.server.http.keys import MAX_SESSION_BYTES, Secret
from kodo.server.http.realtime.beta import refuse_socket, speaks_beta
from kodo.server.http.realtime.fields import named_in
from kodo.server.http.realtime.session_config import (
    ResponseOptions,
    SessionConfig,
    parse_settings,
    to_response_request,
)
from kodo.server.http.realtime.websocket import RealtimeSession
from kodo.server.http.sockets import serve_connection
from kodo.server.http.state import get_caller, get_state, optional_json_body
from kodo.server.lifecycle.errors import InvalidRequest, ServiceError
from kodo.server.wire.decode import convert
from kodo.server.wire.items import StrictWire

DEFAULT_SECONDS = 600


class SecretExpiresAfter(StrictWire, frozen=True, kw_only=True):
    """When the key expires: the number of seconds after its creation, from 10 to 7200."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = DEFAULT_SECONDS


class CreateSecret(StrictWire, frozen=True, kw_only=True):
    """The lifetime of the key, and the configuration of the sessions opened with it."""

    expires_after: SecretExpiresAfter = SecretExpiresAfter()
    session: dict[str, Any] | None = None


async def create_client_secret(request: Request) -> Response:
    """``POST /v1/realtime/client_secrets``."""
    state = get_state(request)
    body: CreateSecret = convert(await optional_json_body(request), CreateSecret)
    model = next(iter(state.models))
    config: SessionConfig = parse_settings({"model": model, **(body.session or {})}, SessionConfig, "session")
    with named_in("session"):  # as an update of a session: it refuses what no response could be made with
        state.service.backend(config.model)
        to_response_request(config, ResponseOptions())
    expires = int(state.clock.now()) + body.expires_after.seconds
    session = msgspec.to_builtins(config)
    if len(msgspec.json.encode(session)) > MAX_SESSION_BYTES:
        raise InvalidRequest(
            f"The settings of a client secret have at most {MAX_SESSION_BYTES} bytes.", param="session"
        )
    value = state.secrets.add(Secret(get_caller(request), expires, session))
    translated = {
        "id": state.ids.new("sess"),
        "object": "realtime.session",
        **session,
        "expires_at": expires,
    }
    return json_response({"value": value, "expires_at": expires, "session": translated})


async def connect(socket: WebSocket) -> None:
    """``/v1/realtime``: ``?model=`` names the model; a short-lived key carries its own session configuration."""
    state, caller = get_state(socket), get_caller(socket)
    if speaks_beta(socket):
        await refuse_socket(socket)
        return
    secret = state.secrets.find(socket.headers.get("authorization"))
    name = socket.query_params.get("model")
    config = (
        convert(secret.session, SessionConfig)
        if secret is not None
        else SessionConfig(model=name or next(iter(state.models)))
    )
    try:
        state.service.backend(config.model)
    except ServiceError as error:
        await socket.send_denial_response(error_response(error, socket.scope))
        return
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocol="realtime" if "realtime" in offered else None)
    await serve_connection(
        socket, RealtimeSession(socket, state, caller, config), state.settings.connection_seconds
    )
