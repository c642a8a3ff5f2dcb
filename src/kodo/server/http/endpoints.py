"""The one table of endpoints: the routes and ``/openapi.json`` are derived from it."""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from kodo.server.http import conversations, embeddings, health, models
from kodo.server.http.assistants.endpoints import assistants, messages, runs, steps, threads
from kodo.server.http.batches import endpoints as batches
from kodo.server.http.bodies import json_response
from kodo.server.http.chat.endpoints import chat_completions, completions
from kodo.server.http.conversations import Conversation
from kodo.server.http.files.endpoints import files, uploads
from kodo.server.http.openapi import Endpoint, document
from kodo.server.http.openapi_types import (
    FILE_FORM,
    PART_FORM,
    BatchBody,
    ClientSecret,
    ConversationBody,
    Gone,
    Health,
    Items,
    ItemsBody,
    Listed,
    Messages,
    Metadated,
    Model,
    Models,
    Readiness,
)
from kodo.server.http.realtime import endpoints as realtime
from kodo.server.http.responses import endpoints as responses
from kodo.server.http.responses import websocket
from kodo.server.wire.assistants import (
    Assistant,
    CreateAssistant,
    CreateMessage,
    CreateRun,
    CreateThread,
    CreateThreadAndRun,
    Deleted,
    NewMetadata,
    RunStep,
    SubmitToolOutputs,
    Thread,
    ThreadMessage,
    ThreadRun,
    UpdateAssistant,
)
from kodo.server.wire.batches import Batch
from kodo.server.wire.chat import ChatCompletion, ChatRequest
from kodo.server.wire.embeddings import EmbeddingsRequest, EmbeddingsResponse
from kodo.server.wire.files import CompleteUpload, CreateUpload, FileObject, Upload, UploadPart
from kodo.server.wire.items import Item
from kodo.server.wire.legacy import LegacyCompletion, LegacyRequest
from kodo.server.wire.request import CompactRequest, CreateResponse
from kodo.server.wire.response import CompactedResponse, InputTokens, Response

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
    Endpoint("GET", "/health", health.health, "The process lives.", answer=Health),
    Endpoint(
        "GET",
        "/ready",
        health.ready,
        "It can answer; 503 while an engine is not there.",
        answer=Readiness,
        unready=Readiness,
    ),
    Endpoint("GET", "/metrics", health.metrics, "Prometheus' text format.", media="text/plain"),
    Endpoint("GET", "/openapi.json", serve_openapi, "This document.", answer=dict[str, Any]),
    Endpoint(
        "GET",
        "/v1/models",
        models.list_models,
        "The names that are answered, and what stands behind each.",
        answer=Models,
    ),
    Endpoint("GET", "/v1/models/{model:path}", models.retrieve_model, "One of them.", answer=Model),
    Endpoint(
        "POST",
        "/v1/responses",
        responses.create,
        "Create a response.",
        body=CreateResponse,
        answer=Response,
        streams=True,
    ),
    Endpoint(
        "POST",
        "/v1/responses/input_tokens",
        responses.input_tokens,
        "Count a request's input.",
        body=CreateResponse,
        answer=InputTokens,
    ),
    Endpoint(
        "POST",
        "/v1/responses/compact",
        responses.compact,
        "Fold a history into one item.",
        body=CompactRequest,
        answer=CompactedResponse,
    ),
    Endpoint(
        "GET",
        "/v1/responses/{response_id}",
        responses.retrieve,
        "A stored response, or its events.",
        answer=Response,
        query=("stream", "starting_after", "include_obfuscation", "include[]"),
        streams=True,
    ),
    Endpoint("DELETE", "/v1/responses/{response_id}", responses.delete, "Delete it.", answer=Gone),
    Endpoint(
        "POST",
        "/v1/responses/{response_id}/cancel",
        responses.cancel,
        "Cancel a background response.",
        answer=Response,
    ),
    Endpoint(
        "GET",
        "/v1/responses/{response_id}/input_items",
        responses.input_items,
        "The items it was given.",
        answer=Items,
        query=("before", "include[]", *_PAGE),
    ),
    Endpoint(
        "POST",
        "/v1/chat/completions",
        chat_completions.create,
        "Create a chat completion.",
        body=ChatRequest,
        answer=ChatCompletion,
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/chat/completions",
        chat_completions.list_stored,
        "The stored ones.",
        answer=Listed[ChatCompletion],
        query=("model", "metadata", *_PAGE),
    ),
    Endpoint(
        "GET",
        "/v1/chat/completions/{completion_id}",
        chat_completions.retrieve,
        "A stored one.",
        answer=ChatCompletion,
    ),
    Endpoint(
        "POST",
        "/v1/chat/completions/{completion_id}",
        chat_completions.update,
        "Change its metadata.",
        body=Metadated,
        answer=ChatCompletion,
    ),
    Endpoint(
        "DELETE", "/v1/chat/completions/{completion_id}", chat_completions.delete, "Delete it.", answer=Gone
    ),
    Endpoint(
        "GET",
        "/v1/chat/completions/{completion_id}/messages",
        chat_completions.messages,
        "The messages it answers.",
        answer=Messages,
        query=_PAGE,
    ),
    Endpoint(
        "POST",
        "/v1/completions",
        completions.create,
        "Answer a prompt.",
        body=LegacyRequest,
        answer=LegacyCompletion,
        streams=True,
    ),
    Endpoint(
        "POST",
        "/v1/embeddings",
        embeddings.create,
        "Vectors of texts.",
        body=EmbeddingsRequest,
        answer=EmbeddingsResponse,
    ),
    Endpoint("POST", "/v1/files", files.create, "Upload a file.", answer=FileObject, form=FILE_FORM),
    Endpoint(
        "GET",
        "/v1/files",
        files.list_files,
        "The project's files.",
        answer=Listed[FileObject],
        query=("purpose", *_PAGE),
    ),
    Endpoint("GET", "/v1/files/{file_id}", files.retrieve, "A file's facts.", answer=FileObject),
    Endpoint("DELETE", "/v1/files/{file_id}", files.delete, "Delete it.", answer=Gone),
    Endpoint(
        "GET", "/v1/files/{file_id}/content", files.content, "Its bytes.", media="application/octet-stream"
    ),
    Endpoint(
        "POST", "/v1/uploads", uploads.create, "Begin an upload in parts.", body=CreateUpload, answer=Upload
    ),
    Endpoint(
        "POST",
        "/v1/uploads/{upload_id}/parts",
        uploads.add_part,
        "Add a part.",
        answer=UploadPart,
        form=PART_FORM,
    ),
    Endpoint(
        "POST",
        "/v1/uploads/{upload_id}/complete",
        uploads.complete,
        "Make a file of the parts.",
        body=CompleteUpload,
        answer=Upload,
    ),
    Endpoint("POST", "/v1/uploads/{upload_id}/cancel", uploads.cancel, "Give it up.", answer=Upload),
    Endpoint(
        "POST",
        "/v1/batches",
        batches.create,
        "Work through a file of requests.",
        body=BatchBody,
        answer=Batch,
    ),
    Endpoint(
        "GET",
        "/v1/batches",
        batches.list_batches,
        "The project's batches.",
        answer=Listed[Batch],
        query=("after", "limit"),
    ),
    Endpoint("GET", "/v1/batches/{batch_id}", batches.retrieve, "How far one is.", answer=Batch),
    Endpoint("POST", "/v1/batches/{batch_id}/cancel", batches.cancel, "Stop it.", answer=Batch),
    Endpoint(
        "POST",
        "/v1/realtime/client_secrets",
        realtime.create_client_secret,
        "A short-lived key for a realtime session.",
        body=realtime.CreateSecret,
        answer=ClientSecret,
    ),
    Endpoint(
        "POST",
        "/v1/assistants",
        assistants.create,
        "Create an assistant.",
        body=CreateAssistant,
        answer=Assistant,
    ),
    Endpoint(
        "GET",
        "/v1/assistants",
        assistants.list_assistants,
        "The project's assistants.",
        answer=Listed[Assistant],
        query=_WINDOW,
    ),
    Endpoint("GET", "/v1/assistants/{assistant_id}", assistants.retrieve, "An assistant.", answer=Assistant),
    Endpoint(
        "POST",
        "/v1/assistants/{assistant_id}",
        assistants.update,
        "Change it.",
        body=UpdateAssistant,
        answer=Assistant,
    ),
    Endpoint("DELETE", "/v1/assistants/{assistant_id}", assistants.delete, "Delete it.", answer=Deleted),
    Endpoint("POST", "/v1/threads", threads.create, "Create a thread.", body=CreateThread, answer=Thread),
    Endpoint(
        "POST",
        "/v1/threads/runs",
        runs.create_with_thread,
        "Create a thread and run it.",
        body=CreateThreadAndRun,
        answer=ThreadRun,
        streams=True,
    ),
    Endpoint("GET", "/v1/threads/{thread_id}", threads.retrieve, "A thread.", answer=Thread),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}",
        threads.update,
        "Change its metadata.",
        body=NewMetadata,
        answer=Thread,
    ),
    Endpoint(
        "DELETE",
        "/v1/threads/{thread_id}",
        threads.delete,
        "Delete it, with its messages and runs.",
        answer=Deleted,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/messages",
        messages.create,
        "Add a message.",
        body=CreateMessage,
        answer=ThreadMessage,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/messages",
        messages.list_messages,
        "Its messages.",
        answer=Listed[ThreadMessage],
        query=("run_id", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.retrieve,
        "A message.",
        answer=ThreadMessage,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.update,
        "Change its metadata.",
        body=NewMetadata,
        answer=ThreadMessage,
    ),
    Endpoint(
        "DELETE",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.delete,
        "Delete it.",
        answer=Deleted,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs",
        runs.create,
        "Run an assistant on it.",
        body=CreateRun,
        answer=ThreadRun,
        query=("include[]",),
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs",
        runs.list_runs,
        "Its runs.",
        answer=Listed[ThreadRun],
        query=_WINDOW,
    ),
    Endpoint("GET", "/v1/threads/{thread_id}/runs/{run_id}", runs.retrieve, "A run.", answer=ThreadRun),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs/{run_id}",
        runs.update,
        "Change its metadata.",
        body=NewMetadata,
        answer=ThreadRun,
    ),
    Endpoint(
        "POST", "/v1/threads/{thread_id}/runs/{run_id}/cancel", runs.cancel, "Stop it.", answer=ThreadRun
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        runs.submit_tool_outputs,
        "Give it what its calls gave.",
        body=SubmitToolOutputs,
        answer=ThreadRun,
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs/{run_id}/steps",
        steps.list_steps,
        "What it did.",
        answer=Listed[RunStep],
        query=("include[]", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}",
        steps.retrieve,
        "One step.",
        answer=RunStep,
        query=("include[]",),
    ),
    Endpoint(
        "POST",
        "/v1/conversations",
        conversations.create,
        "Create a conversation.",
        body=ConversationBody,
        answer=Conversation,
    ),
    Endpoint(
        "GET",
        "/v1/conversations/{conversation_id}",
        conversations.retrieve,
        "A conversation.",
        answer=Conversation,
    ),
    Endpoint(
        "POST",
        "/v1/conversations/{conversation_id}",
        conversations.update,
        "Change its metadata.",
        body=Metadated,
        answer=Conversation,
    ),
    Endpoint(
        "DELETE",
        "/v1/conversations/{conversation_id}",
        conversations.delete,
        "Delete it, with its items.",
        answer=Gone,
    ),
    Endpoint(
        "POST",
        "/v1/conversations/{conversation_id}/items",
        conversations.create_items,
        "Add items, all or none.",
        body=ItemsBody,
        answer=Items,
        query=("include[]",),
    ),
    Endpoint(
        "GET",
        "/v1/conversations/{conversation_id}/items",
        conversations.list_items,
        "Its items.",
        answer=Items,
        query=("include[]", *_PAGE),
    ),
    Endpoint(
        "GET",
        "/v1/conversations/{conversation_id}/items/{item_id}",
        conversations.retrieve_item,
        "One item.",
        answer=Item,
        query=("include[]",),
    ),
    Endpoint(
        "DELETE",
        "/v1/conversations/{conversation_id}/items/{item_id}",
        conversations.delete_item,
        "Delete it; the answer is the conversation.",
        answer=Conversation,
    ),
)
"""Of two paths that both match a request, the first answers it."""

SOCKETS: tuple[WebSocketRoute, ...] = (
    WebSocketRoute("/v1/responses", websocket.connect),
    WebSocketRoute("/v1/realtime", realtime.connect),
)

ROUTES: tuple[BaseRoute, ...] = (
    *SOCKETS,
    *(Route(endpoint.path, endpoint.handler, methods=[endpoint.method]) for endpoint in ENDPOINTS),
)
