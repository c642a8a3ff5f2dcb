"""Conversations and their items."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from kodo.server.http.conversations.documents import KIND
from kodo.server.lifecycle.records import Page
from kodo.server.ui.context import PageRequest
from kodo.server.ui.items import shown_item
from kodo.server.wire.conversations import Conversation

MAX_ITEMS: Final = 100


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/conversations``."""
    rows, more = await page.documents(KIND)
    conversations = [(row.owner, msgspec.json.decode(row.body, type=Conversation)) for row in rows]
    return page.render("conversations.html", "conversations", conversations=conversations, more=more)


async def show(page: PageRequest) -> Response:
    """``GET /ui/conversations/{id}``: the newest items, in their order."""
    row = await page.document(KIND, page.path("conversation_id"), "conversation")
    items, more = await page.state.store.list_items(row.owner, row.id, Page(limit=MAX_ITEMS))
    return page.render(
        "conversation.html",
        "conversations",
        owner=row.owner,
        conversation=msgspec.json.decode(row.body, type=Conversation),
        items=[shown_item(item.context.item) for item in reversed(items)],
        more=more,
        max_items=MAX_ITEMS,
    )
