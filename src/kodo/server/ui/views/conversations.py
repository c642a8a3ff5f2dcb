"""Conversations and their items."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from kodo.server.http.conversations.documents import KIND
from kodo.server.lifecycle.records import Page
from kodo.server.ui.context import PageRequest, not_found
from kodo.server.ui.items import shown_item
from kodo.server.wire.conversations import Conversation

PAGE_SIZE: Final = 50
MAX_ITEMS: Final = 100


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/conversations``."""
    found = await page.context.activity.documents(
        KIND, page.viewer.owner, before=page.number("before"), limit=PAGE_SIZE + 1
    )
    conversations = [
        (row.owner, msgspec.json.decode(row.body, type=Conversation)) for _, row in found[:PAGE_SIZE]
    ]
    more = found[PAGE_SIZE - 1][0] if len(found) > PAGE_SIZE else None
    return page.render("conversations.html", "conversations", conversations=conversations, more=more)


async def show(page: PageRequest) -> Response:
    """``GET /ui/conversations/{id}``: the newest items, in their order."""
    row = await page.context.activity.find_document(KIND, page.path("conversation_id"))
    if row is None or not page.viewer.may_see(row.owner):
        raise not_found("conversation")
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
