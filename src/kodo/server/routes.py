"""The one table of routes."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route, WebSocketRoute

from kodo.server import conversations, health, models, responses, websocket
from kodo.server.chat import completions

ROUTES: tuple[BaseRoute, ...] = (
    Route("/health", health.health, methods=["GET"]),
    Route("/ready", health.ready, methods=["GET"]),
    Route("/metrics", health.metrics, methods=["GET"]),
    Route("/v1/models", models.list_models, methods=["GET"]),
    Route("/v1/models/{model:path}", models.retrieve_model, methods=["GET"]),
    WebSocketRoute("/v1/responses", websocket.responses),
    Route("/v1/responses", responses.create, methods=["POST"]),
    Route("/v1/responses/input_tokens", responses.input_tokens, methods=["POST"]),
    Route("/v1/responses/compact", responses.compact, methods=["POST"]),
    Route("/v1/responses/{response_id}", responses.retrieve, methods=["GET"]),
    Route("/v1/responses/{response_id}", responses.delete, methods=["DELETE"]),
    Route("/v1/responses/{response_id}/cancel", responses.cancel, methods=["POST"]),
    Route("/v1/responses/{response_id}/input_items", responses.input_items, methods=["GET"]),
    Route("/v1/chat/completions", completions.create, methods=["POST"]),
    Route("/v1/chat/completions", completions.list_stored, methods=["GET"]),
    Route("/v1/chat/completions/{completion_id}", completions.retrieve, methods=["GET"]),
    Route("/v1/chat/completions/{completion_id}", completions.update, methods=["POST"]),
    Route("/v1/chat/completions/{completion_id}", completions.delete, methods=["DELETE"]),
    Route("/v1/chat/completions/{completion_id}/messages", completions.messages, methods=["GET"]),
    Route("/v1/conversations", conversations.create, methods=["POST"]),
    Route("/v1/conversations/{conversation_id}", conversations.retrieve, methods=["GET"]),
    Route("/v1/conversations/{conversation_id}", conversations.update, methods=["POST"]),
    Route("/v1/conversations/{conversation_id}", conversations.delete, methods=["DELETE"]),
    Route("/v1/conversations/{conversation_id}/items", conversations.create_items, methods=["POST"]),
    Route("/v1/conversations/{conversation_id}/items", conversations.list_items, methods=["GET"]),
    Route(
        "/v1/conversations/{conversation_id}/items/{item_id}", conversations.retrieve_item, methods=["GET"]
    ),
    Route(
        "/v1/conversations/{conversation_id}/items/{item_id}", conversations.delete_item, methods=["DELETE"]
    ),
)
