"""The one table of routes."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route, WebSocketRoute

from kodo.server.http import conversations, embeddings, health, models, openapi
from kodo.server.http.assistants.endpoints import assistants, messages, runs, steps, threads
from kodo.server.http.batches import endpoints as batches
from kodo.server.http.chat.endpoints import chat_completions, completions
from kodo.server.http.files.endpoints import files, uploads
from kodo.server.http.realtime import endpoints as realtime
from kodo.server.http.responses import endpoints as responses
from kodo.server.http.responses import websocket

ROUTES: tuple[BaseRoute, ...] = (
    Route("/health", health.health, methods=["GET"]),
    Route("/ready", health.ready, methods=["GET"]),
    Route("/metrics", health.metrics, methods=["GET"]),
    Route("/openapi.json", openapi.openapi, methods=["GET"]),
    Route("/v1/models", models.list_models, methods=["GET"]),
    Route("/v1/models/{model:path}", models.retrieve_model, methods=["GET"]),
    WebSocketRoute("/v1/responses", websocket.connect),
    Route("/v1/responses", responses.create, methods=["POST"]),
    Route("/v1/responses/input_tokens", responses.input_tokens, methods=["POST"]),
    Route("/v1/responses/compact", responses.compact, methods=["POST"]),
    Route("/v1/responses/{response_id}", responses.retrieve, methods=["GET"]),
    Route("/v1/responses/{response_id}", responses.delete, methods=["DELETE"]),
    Route("/v1/responses/{response_id}/cancel", responses.cancel, methods=["POST"]),
    Route("/v1/responses/{response_id}/input_items", responses.input_items, methods=["GET"]),
    Route("/v1/chat/completions", chat_completions.create, methods=["POST"]),
    Route("/v1/chat/completions", chat_completions.list_stored, methods=["GET"]),
    Route("/v1/chat/completions/{completion_id}", chat_completions.retrieve, methods=["GET"]),
    Route("/v1/chat/completions/{completion_id}", chat_completions.update, methods=["POST"]),
    Route("/v1/chat/completions/{completion_id}", chat_completions.delete, methods=["DELETE"]),
    Route("/v1/chat/completions/{completion_id}/messages", chat_completions.messages, methods=["GET"]),
    Route("/v1/files", files.create, methods=["POST"]),
    Route("/v1/files", files.list_files, methods=["GET"]),
    Route("/v1/files/{file_id}", files.retrieve, methods=["GET"]),
    Route("/v1/files/{file_id}", files.delete, methods=["DELETE"]),
    Route("/v1/files/{file_id}/content", files.content, methods=["GET"]),
    Route("/v1/uploads", uploads.create, methods=["POST"]),
    Route("/v1/uploads/{upload_id}/parts", uploads.add_part, methods=["POST"]),
    Route("/v1/uploads/{upload_id}/complete", uploads.complete, methods=["POST"]),
    Route("/v1/uploads/{upload_id}/cancel", uploads.cancel, methods=["POST"]),
    WebSocketRoute("/v1/realtime", realtime.connect),
    Route("/v1/realtime/client_secrets", realtime.create_client_secret, methods=["POST"]),
    Route("/v1/completions", completions.create, methods=["POST"]),
    Route("/v1/embeddings", embeddings.create, methods=["POST"]),
    Route("/v1/batches", batches.create, methods=["POST"]),
    Route("/v1/batches", batches.list_batches, methods=["GET"]),
    Route("/v1/batches/{batch_id}", batches.retrieve, methods=["GET"]),
    Route("/v1/batches/{batch_id}/cancel", batches.cancel, methods=["POST"]),
    Route("/v1/assistants", assistants.create, methods=["POST"]),
    Route("/v1/assistants", assistants.list_assistants, methods=["GET"]),
    Route("/v1/assistants/{assistant_id}", assistants.retrieve, methods=["GET"]),
    Route("/v1/assistants/{assistant_id}", assistants.update, methods=["POST"]),
    Route("/v1/assistants/{assistant_id}", assistants.delete, methods=["DELETE"]),
    Route("/v1/threads", threads.create, methods=["POST"]),
    Route("/v1/threads/runs", runs.create_with_thread, methods=["POST"]),
    Route("/v1/threads/{thread_id}", threads.retrieve, methods=["GET"]),
    Route("/v1/threads/{thread_id}", threads.update, methods=["POST"]),
    Route("/v1/threads/{thread_id}", threads.delete, methods=["DELETE"]),
    Route("/v1/threads/{thread_id}/messages", messages.create, methods=["POST"]),
    Route("/v1/threads/{thread_id}/messages", messages.list_messages, methods=["GET"]),
    Route("/v1/threads/{thread_id}/messages/{message_id}", messages.retrieve, methods=["GET"]),
    Route("/v1/threads/{thread_id}/messages/{message_id}", messages.update, methods=["POST"]),
    Route("/v1/threads/{thread_id}/messages/{message_id}", messages.delete, methods=["DELETE"]),
    Route("/v1/threads/{thread_id}/runs", runs.create, methods=["POST"]),
    Route("/v1/threads/{thread_id}/runs", runs.list_runs, methods=["GET"]),
    Route("/v1/threads/{thread_id}/runs/{run_id}", runs.retrieve, methods=["GET"]),
    Route("/v1/threads/{thread_id}/runs/{run_id}", runs.update, methods=["POST"]),
    Route("/v1/threads/{thread_id}/runs/{run_id}/cancel", runs.cancel, methods=["POST"]),
    Route(
        "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        runs.submit_tool_outputs,
        methods=["POST"],
    ),
    Route("/v1/threads/{thread_id}/runs/{run_id}/steps", steps.list_steps, methods=["GET"]),
    Route("/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}", steps.retrieve, methods=["GET"]),
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
