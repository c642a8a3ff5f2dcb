"""The rows of chat completions that a client asked to store."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from kodo.server.wire.chat import StoredChatCompletion

KIND: Final = "chat.completion"


class StoredCompletion(Struct, frozen=True, kw_only=True):
    """A row's body: the completion, and the messages that it answers, each with an id."""

    completion: StoredChatCompletion
    messages: list[dict[str, Any]]
