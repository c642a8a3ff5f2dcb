"""Conversations on the wire.

Source: OpenAI's Conversations reference and openai-python 3.54 (``types/conversations``).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from kodo.server.wire.items import StrictWire
from kodo.server.wire.request import Metadata


class ConversationRequest(StrictWire, frozen=True, kw_only=True):
    """The body of ``POST /v1/conversations``; ``items`` are decoded afterwards."""

    metadata: Metadata | None = None
    items: list[Any] | None = None


class ConversationUpdate(StrictWire, frozen=True, kw_only=True):
    """The body of ``POST /v1/conversations/{id}``; null removes the metadata."""

    metadata: Metadata | None


class ItemsRequest(StrictWire, frozen=True, kw_only=True):
    """The body of ``POST /v1/conversations/{id}/items``; ``items`` are decoded afterwards."""

    items: list[Any]


class Conversation(Struct, frozen=True, kw_only=True):
    """A conversation. ``created_at`` is in seconds since the epoch."""

    id: str
    object: str = "conversation"
    created_at: int
    metadata: dict[str, str]
