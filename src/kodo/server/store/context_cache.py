"""Contexts of responses and conversations, kept in memory so that the next turn reads only new items.

A context is a tuple of items; a child's tuple shares its items with its parent's, and takes its place: a conversation
of any length holds one context, that of its newest turn. Going back to an older turn reads it from the disk once more.
This module knows no SQL.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kodo.server.lifecycle.ports import ContextItem

CAPACITY = 32 * 2**20
"""Bytes. Branches count whole, also what they share: the true size is never larger."""
_ITEM = 400
_TOKEN = 36
"""Bytes in memory of an item's objects besides its text, and of a tuple's pointer with its integer."""


@dataclass(frozen=True, slots=True)
class CachedContext:
    """What a turn starts from, oldest item first. ``weight``: bytes in memory, about; ``end``: the place of the last item
    in a conversation."""

    items: tuple[ContextItem, ...] = ()
    weight: int = 0
    end: int = -1

    def extended(self, items: tuple[ContextItem, ...], json_bytes: int, end: int = -1) -> CachedContext:
        """The context with more items behind it; ``json_bytes``: what these take as JSON."""
        tokens = sum(len(item.tokens) for item in items if item.tokens is not None)
        return CachedContext(
            self.items + items, self.weight + json_bytes + _ITEM * len(items) + _TOKEN * tokens, end
        )


class ContextCache:
    """A cache with a size limit in bytes; the least recently used contexts are evicted first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, CachedContext] = OrderedDict()
        self._weight = 0

    def get(self, name: str) -> CachedContext | None:
        """The context of this name, if it is held."""
        context = self._entries.get(name)
        if context is not None:
            self._entries.move_to_end(name)
        return context

    def peek(self, name: str) -> CachedContext | None:
        """The same, without counting as a use: the one call that other threads may make."""
        return self._entries.get(name)

    def put(self, name: str, context: CachedContext, *, parent: str | None = None) -> None:
        """Hold a context, in the place of its parent's, unless it is larger than all room there is."""
        self.drop(name)
        if parent is not None:
            self.drop(parent)
        if context.weight > self._capacity:
            return
        self._entries[name] = context
        self._weight += context.weight
        while self._weight > self._capacity:
            _, oldest = self._entries.popitem(last=False)
            self._weight -= oldest.weight

    def drop(self, name: str) -> None:
        """Remove a context, if it is held."""
        if (context := self._entries.pop(name, None)) is not None:
            self._weight -= context.weight
