"""The one table of endpoints: the routes and ``/openapi.json`` are derived from it."""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from kodo.server.http import embeddings, health, models
from kodo.server.http.anthropic import endpoints as anthropic
from kodo.server.http.assistants.endpoints import assistants, messages, runs, steps, threads
from kodo.server.http.batches import endpoints as batches
from kodo.server.http.bodies import json_response
from kodo.server.http.chat.endpoints import chat_completions, completions
from kodo.server.http.containers.table import CONTAINER_ENDPOINTS
from kodo.server.http.conversations import endpoints as conversations
from kodo.server.http.errors import AnthropicError
from kodo.server.http.files.endpoints import files, uploads
from kodo.server.http.openapi import Endpoint, document
from kodo.server.http.openapi_types import (
    FILE_FORM,
    PART_FORM,
    BatchBody,
    ClientSecret,
    CreateConversation,
    CreateItems,
    DeletedObject,
    Health,
    ItemPage,
    ListPage,
    MessagePage,
    Model,
    Models,
    Readiness,
    UpdateMetadata,
)
from kodo.server.http.realtime import endpoints as realtime
from kodo.server.http.responses import endpoints as responses
from kodo.server.http.responses import websocket
from kodo.server.http.vector_stores import endpoints as vector_stores
from kodo.server.wire.anthropic import AnthropicMessage, CountTokensRequest, MessagesRequest, TokensCount
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
from kodo.server.wire.conversations import Conversation
from kodo.server.wire.embeddings import EmbeddingsRequest, EmbeddingsResponse
from kodo.server.wire.files import CompleteUpload, CreateUpload, FileObject, Upload, UploadPart
from kodo.server.wire.items import Item
from kodo.server.wire.legacy import LegacyCompletion, LegacyRequest
from kodo.server.wire.request import CompactRequest, CreateResponse
from kodo.server.wire.response import CompactedResponse, InputTokens, Response
from kodo.server.wire.vector_stores import (
    AddFile,
    CreateFileBatch,
    CreateVectorStore,
    DeletedStore,
    DeletedStoreFile,
    FileBatch,
    FileContentPage,
    SearchPage,
    SearchRequest,
    UpdateFile,
    UpdateVectorStore,
    VectorStore,
    VectorStoreFile,
)

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
        "Count the input tokens of a request.",
        body=CreateResponse,
        answer=InputTokens,
    ),
    Endpoint(
        "POST",
        "/v1/responses/compact",
        responses.compact,
        "Compact a conversation history into one item.",
        body=CompactRequest,
        answer=CompactedResponse,
    ),
    Endpoint(
        "GET",
        "/v1/responses/{response_id}",
        responses.retrieve,
        "Retrieve a response, or stream its events.",
        answer=Response,
        query=("stream", "starting_after", "include_obfuscation", "include[]"),
        streams=True,
    ),
    Endpoint(
        "DELETE", "/v1/responses/{response_id}", responses.delete, "Delete a response.", answer=DeletedObject
    ),
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
        "List the input items of a response.",
        answer=ItemPage,
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
        "List stored chat completions.",
        answer=ListPage[ChatCompletion],
        query=("model", "metadata", *_PAGE),
    ),
    Endpoint(
        "GET",
        "/v1/chat/completions/{completion_id}",
        chat_completions.retrieve,
        "Retrieve a stored chat completion.",
        answer=ChatCompletion,
    ),
    Endpoint(
        "POST",
        "/v1/chat/completions/{completion_id}",
        chat_completions.update,
        "Update the metadata of a stored chat completion.",
        body=UpdateMetadata,
        answer=ChatCompletion,
    ),
    Endpoint(
        "DELETE",
        "/v1/chat/completions/{completion_id}",
        chat_completions.delete,
        "Delete a stored chat completion.",
        answer=DeletedObject,
    ),
    Endpoint(
        "GET",
        "/v1/chat/completions/{completion_id}/messages",
        chat_completions.messages,
        "List the messages of a stored chat completion.",
        answer=MessagePage,
        query=_PAGE,
    ),
    Endpoint(
        "POST",
        "/v1/completions",
        completions.create,
        "Create a completion.",
        body=LegacyRequest,
        answer=LegacyCompletion,
        streams=True,
    ),
    Endpoint(
        "POST",
        "/v1/messages",
        anthropic.create,
        "Create a message (Anthropic's Messages API).",
        body=MessagesRequest,
        answer=AnthropicMessage,
        streams=True,
        error=AnthropicError,
    ),
    Endpoint(
        "POST",
        "/v1/messages/count_tokens",
        anthropic.count_tokens,
        "Count the input tokens of a message (Anthropic's Messages API).",
        body=CountTokensRequest,
        answer=TokensCount,
        error=AnthropicError,
    ),
    Endpoint(
        "POST",
        "/v1/embeddings",
        embeddings.create,
        "Create embeddings.",
        body=EmbeddingsRequest,
        answer=EmbeddingsResponse,
    ),
    Endpoint("POST", "/v1/files", files.create, "Upload a file.", answer=FileObject, form=FILE_FORM),
    Endpoint(
        "GET",
        "/v1/files",
        files.list_files,
        "List files.",
        answer=ListPage[FileObject],
        query=("purpose", *_PAGE),
    ),
    Endpoint("GET", "/v1/files/{file_id}", files.retrieve, "Retrieve a file.", answer=FileObject),
    Endpoint("DELETE", "/v1/files/{file_id}", files.delete, "Delete a file.", answer=DeletedObject),
    Endpoint(
        "GET",
        "/v1/files/{file_id}/content",
        files.content,
        "Retrieve the content of a file.",
        media="application/octet-stream",
    ),
    Endpoint("POST", "/v1/uploads", uploads.create, "Create an upload.", body=CreateUpload, answer=Upload),
    Endpoint(
        "POST",
        "/v1/uploads/{upload_id}/parts",
        uploads.add_part,
        "Add a part to an upload.",
        answer=UploadPart,
        form=PART_FORM,
    ),
    Endpoint(
        "POST",
        "/v1/uploads/{upload_id}/complete",
        uploads.complete,
        "Complete an upload.",
        body=CompleteUpload,
        answer=Upload,
    ),
    Endpoint("POST", "/v1/uploads/{upload_id}/cancel", uploads.cancel, "Cancel an upload.", answer=Upload),
    Endpoint(
        "POST",
        "/v1/batches",
        batches.create,
        "Create a batch.",
        body=BatchBody,
        answer=Batch,
    ),
    Endpoint(
        "GET",
        "/v1/batches",
        batches.list_batches,
        "List batches.",
        answer=ListPage[Batch],
        query=("after", "limit"),
    ),
    Endpoint("GET", "/v1/batches/{batch_id}", batches.retrieve, "Retrieve a batch.", answer=Batch),
    Endpoint("POST", "/v1/batches/{batch_id}/cancel", batches.cancel, "Cancel a batch.", answer=Batch),
    Endpoint(
        "POST",
        "/v1/realtime/client_secrets",
        realtime.create_client_secret,
        "Create a client secret for a Realtime session.",
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
        "List assistants.",
        answer=ListPage[Assistant],
        query=_WINDOW,
    ),
    Endpoint(
        "GET",
        "/v1/assistants/{assistant_id}",
        assistants.retrieve,
        "Retrieve an assistant.",
        answer=Assistant,
    ),
    Endpoint(
        "POST",
        "/v1/assistants/{assistant_id}",
        assistants.update,
        "Update an assistant.",
        body=UpdateAssistant,
        answer=Assistant,
    ),
    Endpoint(
        "DELETE", "/v1/assistants/{assistant_id}", assistants.delete, "Delete an assistant.", answer=Deleted
    ),
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
    Endpoint("GET", "/v1/threads/{thread_id}", threads.retrieve, "Retrieve a thread.", answer=Thread),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}",
        threads.update,
        "Update the metadata of a thread.",
        body=NewMetadata,
        answer=Thread,
    ),
    Endpoint(
        "DELETE",
        "/v1/threads/{thread_id}",
        threads.delete,
        "Delete a thread with its messages and runs.",
        answer=Deleted,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/messages",
        messages.create,
        "Create a message.",
        body=CreateMessage,
        answer=ThreadMessage,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/messages",
        messages.list_messages,
        "List messages.",
        answer=ListPage[ThreadMessage],
        query=("run_id", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.retrieve,
        "Retrieve a message.",
        answer=ThreadMessage,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.update,
        "Update the metadata of a message.",
        body=NewMetadata,
        answer=ThreadMessage,
    ),
    Endpoint(
        "DELETE",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.delete,
        "Delete a message.",
        answer=Deleted,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs",
        runs.create,
        "Create a run.",
        body=CreateRun,
        answer=ThreadRun,
        query=("include[]",),
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs",
        runs.list_runs,
        "List runs.",
        answer=ListPage[ThreadRun],
        query=_WINDOW,
    ),
    Endpoint(
        "GET", "/v1/threads/{thread_id}/runs/{run_id}", runs.retrieve, "Retrieve a run.", answer=ThreadRun
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs/{run_id}",
        runs.update,
        "Update the metadata of a run.",
        body=NewMetadata,
        answer=ThreadRun,
    ),
    Endpoint(
        "POST", "/v1/threads/{thread_id}/runs/{run_id}/cancel", runs.cancel, "Cancel a run.", answer=ThreadRun
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        runs.submit_tool_outputs,
        "Submit tool outputs.",
        body=SubmitToolOutputs,
        answer=ThreadRun,
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs/{run_id}/steps",
        steps.list_steps,
        "List run steps.",
        answer=ListPage[RunStep],
        query=("include[]", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}",
        steps.retrieve,
        "Retrieve a run step.",
        answer=RunStep,
        query=("include[]",),
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores",
        vector_stores.create,
        "Create a vector store.",
        body=CreateVectorStore,
        answer=VectorStore,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores",
        vector_stores.list_stores,
        "List vector stores.",
        answer=ListPage[VectorStore],
        query=_WINDOW,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}",
        vector_stores.retrieve,
        "Retrieve a vector store.",
        answer=VectorStore,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}",
        vector_stores.update,
        "Modify a vector store.",
        body=UpdateVectorStore,
        answer=VectorStore,
    ),
    Endpoint(
        "DELETE",
        "/v1/vector_stores/{vector_store_id}",
        vector_stores.delete,
        "Delete a vector store.",
        answer=DeletedStore,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/search",
        vector_stores.search,
        "Search in a vector store.",
        body=SearchRequest,
        answer=SearchPage,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/files",
        vector_stores.add_file,
        "Add a file to a vector store.",
        body=AddFile,
        answer=VectorStoreFile,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/files",
        vector_stores.list_files,
        "List the files of a vector store.",
        answer=ListPage[VectorStoreFile],
        query=("filter", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        vector_stores.retrieve_file,
        "Retrieve a file of a vector store.",
        answer=VectorStoreFile,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        vector_stores.update_file,
        "Replace the attributes of a file of a vector store.",
        body=UpdateFile,
        answer=VectorStoreFile,
    ),
    Endpoint(
        "DELETE",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        vector_stores.delete_file,
        "Take a file out of a vector store.",
        answer=DeletedStoreFile,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}/content",
        vector_stores.file_content,
        "Get the text of a file as it was read.",
        answer=FileContentPage,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/file_batches",
        vector_stores.create_batch,
        "Add files to a vector store together.",
        body=CreateFileBatch,
        answer=FileBatch,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}",
        vector_stores.retrieve_batch,
        "Retrieve a batch of files.",
        answer=FileBatch,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
        vector_stores.cancel_batch,
        "Cancel a batch of files.",
        answer=FileBatch,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
        vector_stores.list_batch_files,
        "List the files of a batch.",
        answer=ListPage[VectorStoreFile],
        query=("filter", *_WINDOW),
    ),
    *CONTAINER_ENDPOINTS,
    Endpoint(
        "POST",
        "/v1/conversations",
        conversations.create,
        "Create a conversation.",
        body=CreateConversation,
        answer=Conversation,
    ),
    Endpoint(
        "GET",
        "/v1/conversations/{conversation_id}",
        conversations.retrieve,
        "Retrieve a conversation.",
        answer=Conversation,
    ),
    Endpoint(
        "POST",
        "/v1/conversations/{conversation_id}",
        conversations.update,
        "Update the metadata of a conversation.",
        body=UpdateMetadata,
        answer=Conversation,
    ),
    Endpoint(
        "DELETE",
        "/v1/conversations/{conversation_id}",
        conversations.delete,
        "Delete a conversation with its items.",
        answer=DeletedObject,
    ),
    Endpoint(
        "POST",
        "/v1/conversations/{conversation_id}/items",
        conversations.create_items,
        "Add items to a conversation.",
        body=CreateItems,
        answer=ItemPage,
        query=("include[]",),
    ),
    Endpoint(
        "GET",
        "/v1/conversations/{conversation_id}/items",
        conversations.list_items,
        "List the items of a conversation.",
        answer=ItemPage,
        query=("include[]", *_PAGE),
    ),
    Endpoint(
        "GET",
        "/v1/conversations/{conversation_id}/items/{item_id}",
        conversations.retrieve_item,
        "Retrieve an item.",
        answer=Item,
        query=("include[]",),
    ),
    Endpoint(
        "DELETE",
        "/v1/conversations/{conversation_id}/items/{item_id}",
        conversations.delete_item,
        "Delete an item; the answer is the conversation.",
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
