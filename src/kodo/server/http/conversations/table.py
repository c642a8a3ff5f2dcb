"""The part of the table of endpoints that is about conversations."""

from __future__ import annotations

from kodo.server.http.conversations import endpoints as conversations
from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import (
    CreateConversation,
    CreateItems,
    DeletedObject,
    ItemPage,
    UpdateMetadata,
)
from kodo.server.wire.conversations import Conversation
from kodo.server.wire.items import Item

_PAGE = ("after", "limit", "order")

CONVERSATION_ENDPOINTS: tuple[Endpoint, ...] = (
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
