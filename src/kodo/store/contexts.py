"""Contexts of responses, kept in memory so that a chain's next turn reads only the last one.

A context is a tuple of items; a child's tuple shares its items with its parent's, and takes its place: a conversation
of any length holds one context, that of its newest turn. Going back to an older turn reads it from the disk once more.
This module knows no SQL.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kodo.lifecycle.ports import ContextItem

CAPACITY = 32 * 2**20
"""Bytes. Branches count whole, also what they share: the true size is never larger."""
_ITEM = 400
_TOKEN = 36
"""Bytes in memory of an item's objects besides its text, and of a tuple's pointer with its integer."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a child of a response starts from, oldest item first. ``weight``: bytes in memory, about."""

    items: tuple[ContextItem, ...] = ()
    weight: int = 0

    def extended(self, items: tuple[ContextItem, ...], json_bytes: int) -> Context:
        """The context with a response's own items behind it; ``json_bytes``: what these take as JSON."""
        tokens = sum(len(item.tokens) for item in items if item.tokens is not None)
        return Context(self.items + items, self.weight + json_bytes + _ITEM * len(items) + _TOKEN * tokens)


class Contexts:
    """The least recently used contexts go first when there is no room."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._held: OrderedDict[str, Context] = OrderedDict()
        self._weight = 0

    def get(self, response_id: str) -> Context | None:
        """The context of this response, if it is held."""
        context = self._held.get(response_id)
        if context is not None:
            self._held.move_to_end(response_id)
        return context

    def peek(self, response_id: str) -> Context | None:
        """The same, without counting as a use: the one call that other threads may make."""
        return self._held.get(response_id)

    def put(self, response_id: str, context: Context, *, parent: str | None = None) -> None:
        """Hold a context, in the place of its parent's, unless it is larger than all room there is."""
        self.drop(response_id)
        if parent is not None:
            self.drop(parent)
        if context.weight > self._capacity:
            return
        self._held[response_id] = context
        self._weight += context.weight
        while self._weight > self._capacity:
            _, oldest = self._held.popitem(last=False)
            self._weight -= oldest.weight

    def drop(self, response_id: str) -> None:
        """Forget one."""
        if (context := self._held.pop(response_id, None)) is not None:
            self._weight -= context.weight
