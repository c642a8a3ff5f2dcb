"""The part of the table of endpoints that is about Chat Completions and legacy completions."""

from __future__ import annotations

from kodo.server.http.chat.endpoints import chat_completions, completions
from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import DeletedObject, ListPage, MessagePage, UpdateMetadata
from kodo.server.wire.chat import ChatCompletion, ChatRequest, StoredChatCompletion
from kodo.server.wire.legacy import LegacyCompletion, LegacyRequest

_PAGE = ("after", "limit", "order")

CHAT_ENDPOINTS: tuple[Endpoint, ...] = (
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
        answer=ListPage[StoredChatCompletion],
        query=("model", "metadata", *_PAGE),
    ),
    Endpoint(
        "GET",
        "/v1/chat/completions/{completion_id}",
        chat_completions.retrieve,
        "Retrieve a stored chat completion.",
        answer=StoredChatCompletion,
    ),
    Endpoint(
        "POST",
        "/v1/chat/completions/{completion_id}",
        chat_completions.update,
        "Update the metadata of a stored chat completion.",
        body=UpdateMetadata,
        answer=StoredChatCompletion,
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
)
