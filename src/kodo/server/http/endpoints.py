"""The one table of endpoints: the routes and ``/openapi.json`` are derived from it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from kodo.server.http import embeddings, health, models
from kodo.server.http.anthropic.table import MESSAGE_ENDPOINTS
from kodo.server.http.assistants.table import ASSISTANT_ENDPOINTS
from kodo.server.http.batches.table import BATCH_ENDPOINTS
from kodo.server.http.bodies import json_response
from kodo.server.http.chat.table import CHAT_ENDPOINTS
from kodo.server.http.containers.table import CONTAINER_ENDPOINTS
from kodo.server.http.conversations.table import CONVERSATION_ENDPOINTS
from kodo.server.http.files.table import FILE_ENDPOINTS
from kodo.server.http.openapi import Endpoint, document
from kodo.server.http.openapi_types import (
    ClientSecret,
    Health,
    Model,
    Models,
    Readiness,
)
from kodo.server.http.realtime import beta
from kodo.server.http.realtime import endpoints as realtime
from kodo.server.http.responses import websocket
from kodo.server.http.responses.table import RESPONSE_ENDPOINTS
from kodo.server.http.vector_stores.table import VECTOR_STORE_ENDPOINTS
from kodo.server.wire.embeddings import EmbeddingsRequest, EmbeddingsResponse

_PAGE = ("after", "limit", "order")
_WINDOW = ("after", "before", "limit", "order")


async def serve_openapi(request: Request) -> HttpResponse:
    """``GET /openapi.json``."""
    return json_response(openapi_document())


@cache
def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of :data:`ENDPOINTS`; made when it is first asked for."""
    return document(ENDPOINTS)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/health", health.health, "Check that the server is running.", answer=Health),
    Endpoint(
        "GET",
        "/ready",
        health.ready,
        "Check that every engine is ready.",
        answer=Readiness,
        unready=Readiness,
    ),
    Endpoint(
        "GET", "/metrics", health.metrics, "Get the metrics in Prometheus' text format.", media="text/plain"
    ),
    Endpoint("GET", "/openapi.json", serve_openapi, "Get this OpenAPI document.", answer=dict[str, Any]),
    Endpoint(
        "GET",
        "/v1/models",
        models.list_models,
        "List models.",
        answer=Models,
    ),
    Endpoint("GET", "/v1/models/{model:path}", models.retrieve_model, "Retrieve a model.", answer=Model),
    *RESPONSE_ENDPOINTS,
    *CHAT_ENDPOINTS,
    *MESSAGE_ENDPOINTS,
    Endpoint(
        "POST",
        "/v1/embeddings",
        embeddings.create,
        "Create embeddings.",
        body=EmbeddingsRequest,
        answer=EmbeddingsResponse,
    ),
    *FILE_ENDPOINTS,
    *BATCH_ENDPOINTS,
    Endpoint(
        "POST",
        "/v1/realtime/client_secrets",
        realtime.create_client_secret,
        "Create a client secret for a Realtime session.",
        body=realtime.CreateSecret,
        answer=ClientSecret,
    ),
    *ASSISTANT_ENDPOINTS,
    *VECTOR_STORE_ENDPOINTS,
    *CONTAINER_ENDPOINTS,
    *CONVERSATION_ENDPOINTS,
)
"""Of two paths that both match a request, the first answers it."""

SOCKETS: tuple[WebSocketRoute, ...] = (
    WebSocketRoute("/v1/responses", websocket.connect),
    WebSocketRoute("/v1/realtime", realtime.connect),
)

RETIRED: tuple[Route, ...] = tuple(Route(path, beta.refuse, methods=["POST"]) for path in beta.PATHS)
"""Endpoints that are gone, each of which names its successor; not described."""

PROBES: Final = ("/health", "/ready", "/metrics")
"""The paths of a server that takes no requests."""

ROUTES: tuple[BaseRoute, ...] = (
    *SOCKETS,
    *(Route(endpoint.path, endpoint.handler, methods=[endpoint.method]) for endpoint in ENDPOINTS),
)
