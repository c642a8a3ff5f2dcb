"""Contexts of responses, kept in memory so that a chain's next turn reads only the last one.

A context is a tuple of items; a child's tuple shares its items with its parent's, so each turn adds its own items and a
row of pointers. This module knows no SQL.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kodo.lifecycle.ports import ContextItem

CAPACITY = 32 * 2**20
"""Bytes. Each context counts whole, also what it shares with others: the true size is smaller."""
_POINTER = 8
_TOKEN = 36
"""Bytes in memory of a tuple's pointer, and of pointer and integer."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a child of a response starts from, oldest item first. ``content``: bytes of the items themselves."""

    items: tuple[ContextItem, ...] = ()
    content: int = 0

    def extended(self, items: tuple[ContextItem, ...], json_bytes: int) -> Context:
        """The context with a response's own items behind it; ``json_bytes``: what these take as JSON."""
        tokens = sum(len(item.tokens) for item in items if item.tokens is not None)
        return Context(self.items + items, self.content + json_bytes + _TOKEN * tokens)

    @property
    def weight(self) -> int:
        """Bytes in memory, about."""
        return self.content + _POINTER * len(self.items)


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

    def put(self, response_id: str, context: Context) -> None:
        """Hold a context, unless it is larger than all room there is."""
        self.drop(response_id)
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
