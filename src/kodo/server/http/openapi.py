"""``/openapi.json``: the server's OpenAPI 3.1 document, made from the wire types and one table of operations.

A test holds the table and the routes together, so that nothing is served that is not described here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from kodo.server.http import conversations, openapi_types
from kodo.server.http.bodies import json_response
from kodo.server.http.errors import STATUS, Envelope
from kodo.server.http.openapi_types import Listed
from kodo.server.http.realtime.endpoints import CreateSecret
from kodo.server.wire import assistants, batches, chat, embeddings, files, legacy
from kodo.server.wire.items import InputItem, Item
from kodo.server.wire.request import CompactRequest, CreateResponse, Metadata
from kodo.server.wire.response import CompactedResponse, InputTokens, Response


@dataclass(frozen=True)
class Operation:
    """What one method of one path takes and gives. Types are wire types; None: no body, or bytes as an answer."""

    summary: str
    body: Any = None
    answer: Any = None
    query: tuple[str, ...] = ()
    streams: bool = False
    media: str = "application/json"
    form: Mapping[str, Any] | None = None
    """A multipart form in place of a JSON body: its schema."""
    unready: Any = None
    """The answer with 503, where it is no error."""


class Metadated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New metadata for an object."""

    metadata: Metadata


class ConversationBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new conversation: its metadata, and the items that it begins with."""

    metadata: Metadata | None = None
    items: list[InputItem] | None = None


class ItemsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items to add, at most 20."""

    items: list[InputItem]


class BatchBody(batches.CreateBatch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new batch; its endpoint is one of those that batches here have."""

    endpoint: Literal["/v1/responses", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


_FILE: Mapping[str, Any] = {"type": "string", "format": "binary"}
_UPLOADED: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "file": _FILE,
        "purpose": {"enum": list(get_args(files.Purpose))},
        "expires_after[anchor]": {"const": "created_at"},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
    },
    "required": ["file", "purpose"],
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
    "additionalProperties": False,
}
_PART: Mapping[str, Any] = {
    "type": "object",
    "properties": {"data": _FILE},
    "required": ["data"],
    "additionalProperties": False,
}
_PAGE = ("after", "limit", "order")
_RESPONSE = "/v1/responses/{response_id}"
_CHAT = "/v1/chat/completions/{completion_id}"
_CONVERSATION = "/v1/conversations/{conversation_id}"
_ASSISTANT = "/v1/assistants/{assistant_id}"
_THREAD = "/v1/threads/{thread_id}"
_MESSAGE = _THREAD + "/messages/{message_id}"
_RUN = _THREAD + "/runs/{run_id}"
_WINDOW = ("after", "before", "limit", "order")

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/health"): Operation("The process lives.", answer=openapi_types.Health),
    ("GET", "/ready"): Operation(
        "It can answer; 503 while an engine is not there.",
        answer=openapi_types.Readiness,
        unready=openapi_types.Readiness,
    ),
    ("GET", "/metrics"): Operation("Prometheus' text format.", media="text/plain"),
    ("GET", "/openapi.json"): Operation("This document.", answer=dict[str, Any]),
    ("GET", "/v1/models"): Operation(
        "The names that are answered, and what stands behind each.", answer=openapi_types.Models
    ),
    ("GET", "/v1/models/{model}"): Operation("One of them.", answer=openapi_types.Model),
    ("POST", "/v1/responses"): Operation("Create a response.", CreateResponse, Response, streams=True),
    ("POST", "/v1/responses/input_tokens"): Operation(
        "Count a request's input.", CreateResponse, InputTokens
    ),
    ("POST", "/v1/responses/compact"): Operation(
        "Fold a history into one item.", CompactRequest, CompactedResponse
    ),
    ("GET", _RESPONSE): Operation(
        "A stored response, or its events.",
        None,
        Response,
        ("stream", "starting_after", "include_obfuscation", "include[]"),
        streams=True,
    ),
    ("DELETE", _RESPONSE): Operation("Delete it.", answer=openapi_types.Gone),
    ("POST", _RESPONSE + "/cancel"): Operation("Cancel a background response.", None, Response),
    ("GET", _RESPONSE + "/input_items"): Operation(
        "The items it was given.", answer=openapi_types.Items, query=("before", "include[]", *_PAGE)
    ),
    ("POST", "/v1/chat/completions"): Operation(
        "Create a chat completion.", chat.ChatRequest, chat.ChatCompletion, streams=True
    ),
    ("GET", "/v1/chat/completions"): Operation(
        "The stored ones.", answer=Listed[chat.ChatCompletion], query=("model", "metadata", *_PAGE)
    ),
    ("GET", _CHAT): Operation("A stored one.", None, chat.ChatCompletion),
    ("POST", _CHAT): Operation("Change its metadata.", Metadated, chat.ChatCompletion),
    ("DELETE", _CHAT): Operation("Delete it.", answer=openapi_types.Gone),
    ("GET", _CHAT + "/messages"): Operation(
        "The messages it answers.", answer=openapi_types.Messages, query=_PAGE
    ),
    ("POST", "/v1/completions"): Operation(
        "Answer a prompt.", legacy.LegacyRequest, legacy.LegacyCompletion, streams=True
    ),
    ("POST", "/v1/embeddings"): Operation(
        "Vectors of texts.", embeddings.EmbeddingsRequest, embeddings.EmbeddingsResponse
    ),
    ("POST", "/v1/files"): Operation("Upload a file.", None, files.FileObject, form=_UPLOADED),
    ("GET", "/v1/files"): Operation(
        "The project's files.", answer=Listed[files.FileObject], query=("purpose", *_PAGE)
    ),
    ("GET", "/v1/files/{file_id}"): Operation("A file's facts.", None, files.FileObject),
    ("DELETE", "/v1/files/{file_id}"): Operation("Delete it.", answer=openapi_types.Gone),
    ("GET", "/v1/files/{file_id}/content"): Operation("Its bytes.", media="application/octet-stream"),
    ("POST", "/v1/uploads"): Operation("Begin an upload in parts.", files.CreateUpload, files.Upload),
    ("POST", "/v1/uploads/{upload_id}/parts"): Operation("Add a part.", None, files.UploadPart, form=_PART),
    ("POST", "/v1/uploads/{upload_id}/complete"): Operation(
        "Make a file of the parts.", files.CompleteUpload, files.Upload
    ),
    ("POST", "/v1/uploads/{upload_id}/cancel"): Operation("Give it up.", None, files.Upload),
    ("POST", "/v1/batches"): Operation("Work through a file of requests.", BatchBody, batches.Batch),
    ("GET", "/v1/batches"): Operation(
        "The project's batches.", answer=Listed[batches.Batch], query=("after", "limit")
    ),
    ("GET", "/v1/batches/{batch_id}"): Operation("How far one is.", None, batches.Batch),
    ("POST", "/v1/batches/{batch_id}/cancel"): Operation("Stop it.", None, batches.Batch),
    ("POST", "/v1/realtime/client_secrets"): Operation(
        "A short-lived key for a realtime session.", CreateSecret, openapi_types.ClientSecret
    ),
    ("POST", "/v1/assistants"): Operation(
        "Create an assistant.", assistants.CreateAssistant, assistants.Assistant
    ),
    ("GET", "/v1/assistants"): Operation(
        "The project's assistants.", answer=Listed[assistants.Assistant], query=_WINDOW
    ),
    ("GET", _ASSISTANT): Operation("An assistant.", None, assistants.Assistant),
    ("POST", _ASSISTANT): Operation("Change it.", assistants.UpdateAssistant, assistants.Assistant),
    ("DELETE", _ASSISTANT): Operation("Delete it.", None, assistants.Deleted),
    ("POST", "/v1/threads"): Operation("Create a thread.", assistants.CreateThread, assistants.Thread),
    ("POST", "/v1/threads/runs"): Operation(
        "Create a thread and run it.", assistants.CreateThreadAndRun, assistants.ThreadRun, streams=True
    ),
    ("GET", _THREAD): Operation("A thread.", None, assistants.Thread),
    ("POST", _THREAD): Operation("Change its metadata.", assistants.NewMetadata, assistants.Thread),
    ("DELETE", _THREAD): Operation("Delete it, with its messages and runs.", None, assistants.Deleted),
    ("POST", _THREAD + "/messages"): Operation(
        "Add a message.", assistants.CreateMessage, assistants.ThreadMessage
    ),
    ("GET", _THREAD + "/messages"): Operation(
        "Its messages.", answer=Listed[assistants.ThreadMessage], query=("run_id", *_WINDOW)
    ),
    ("GET", _MESSAGE): Operation("A message.", None, assistants.ThreadMessage),
    ("POST", _MESSAGE): Operation("Change its metadata.", assistants.NewMetadata, assistants.ThreadMessage),
    ("DELETE", _MESSAGE): Operation("Delete it.", None, assistants.Deleted),
    ("POST", _THREAD + "/runs"): Operation(
        "Run an assistant on it.", assistants.CreateRun, assistants.ThreadRun, ("include[]",), streams=True
    ),
    ("GET", _THREAD + "/runs"): Operation("Its runs.", answer=Listed[assistants.ThreadRun], query=_WINDOW),
    ("GET", _RUN): Operation("A run.", None, assistants.ThreadRun),
    ("POST", _RUN): Operation("Change its metadata.", assistants.NewMetadata, assistants.ThreadRun),
    ("POST", _RUN + "/cancel"): Operation("Stop it.", None, assistants.ThreadRun),
    ("POST", _RUN + "/submit_tool_outputs"): Operation(
        "Give it what its calls gave.", assistants.SubmitToolOutputs, assistants.ThreadRun, streams=True
    ),
    ("GET", _RUN + "/steps"): Operation(
        "What it did.", answer=Listed[assistants.RunStep], query=("include[]", *_WINDOW)
    ),
    ("GET", _RUN + "/steps/{step_id}"): Operation("One step.", None, assistants.RunStep, ("include[]",)),
    ("POST", "/v1/conversations"): Operation(
        "Create a conversation.", ConversationBody, conversations.Conversation
    ),
    ("GET", _CONVERSATION): Operation("A conversation.", answer=conversations.Conversation),
    ("POST", _CONVERSATION): Operation("Change its metadata.", Metadated, conversations.Conversation),
    ("DELETE", _CONVERSATION): Operation("Delete it, with its items.", answer=openapi_types.Gone),
    ("POST", _CONVERSATION + "/items"): Operation(
        "Add items, all or none.", ItemsBody, openapi_types.Items, ("include[]",)
    ),
    ("GET", _CONVERSATION + "/items"): Operation(
        "Its items.", answer=openapi_types.Items, query=("include[]", *_PAGE)
    ),
    ("GET", _CONVERSATION + "/items/{item_id}"): Operation("One item.", answer=Item, query=("include[]",)),
    ("DELETE", _CONVERSATION + "/items/{item_id}"): Operation(
        "Delete it; the answer is the conversation.", answer=conversations.Conversation
    ),
}
_PARAMETER = re.compile(r"{(\w+)}")
_LONG_LIMIT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 10_000}
_QUERY: Mapping[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "include_obfuscation": {"enum": ["true", "false"]},
    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    "order": {"enum": ["asc", "desc"]},
    "stream": {"enum": ["true", "false"]},
    "starting_after": {"type": "integer", "minimum": -1, "maximum": 2**53},
    "include[]": {"type": "array", "items": {"type": "string"}},
}


async def openapi(request: Request) -> HttpResponse:
    """``GET /openapi.json``."""
    return json_response(document())


@cache
def document() -> dict[str, Any]:
    """The document; the same for the life of the process."""
    types = list({id(kind): kind for kind in _types()}.values())
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _described(method, path, operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kodo",
            "version": version("kodo"),
            "description": "The Codex API (Responses and its siblings) on your own machine. WebSockets, which OpenAPI "
            "cannot describe: /v1/responses and /v1/realtime.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _types() -> Iterator[Any]:
    yield Envelope
    for operation in OPERATIONS.values():
        kinds = (operation.body, operation.answer, operation.unready)
        yield from (kind for kind in kinds if kind is not None)


def _described(method: str, path: str, operation: Operation, by_type: Mapping[int, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "operationId": _name(method, path),
        "summary": operation.summary,
        "parameters": _parameters(method, path, operation),
        "responses": _answers(method, path, operation, by_type),
    }
    if operation.body is not None:
        schema = by_type[id(operation.body)]
        whole["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if operation.form is not None:
        content = {"multipart/form-data": {"schema": operation.form}}
        whole["requestBody"] = {"required": True, "content": content}
    return whole


def _name(method: str, path: str) -> str:
    return re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_")


def _parameters(method: str, path: str, operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    for name in operation.query:
        schema = (
            _LONG_LIMIT if (path, name) == ("/v1/files", "limit") else _QUERY.get(name, {"type": "string"})
        )
        style = {"style": "deepObject", "explode": True} if name == "metadata" else {}
        found.append({"name": name, "in": "query", "schema": schema, **style})
    if method == "POST" and operation.body is not None:
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    return found


def _answers(method: str, path: str, operation: Operation, by_type: Mapping[int, Any]) -> dict[str, Any]:
    content = {operation.media: {"schema": by_type.get(id(operation.answer), {})}}
    if operation.streams:
        content["text/event-stream"] = {}
    good: dict[str, Any] = {"description": operation.summary, "content": content}
    if links := _links(method, path):
        good["links"] = links
    answers: dict[str, Any] = {"200": good}
    envelope = {"application/json": {"schema": by_type[id(Envelope)]}}
    for status in sorted({405, *(status for _, status, _ in STATUS)}):
        answers[str(status)] = {"description": "An error.", "content": envelope}
    if operation.unready is not None:
        unready = {"application/json": {"schema": by_type[id(operation.unready)]}}
        answers["503"] = {"description": "Not yet.", "content": unready}
    return answers


def _links(method: str, path: str) -> dict[str, Any]:
    """Where an answer's ``id`` leads: from what creates a thing to all that can be done with it."""
    if method != "POST":
        return {}
    within = {name: f"$request.path.{name}" for name in _PARAMETER.findall(path)}
    below = re.compile(re.escape(path) + r"/{(\w+)}(/\w+)?")
    return {
        _name(*other): {
            "operationId": _name(*other),
            "parameters": {**within, found[1]: "$response.body#/id"},
        }
        for other in OPERATIONS
        if (found := below.fullmatch(other[1]))
    }
