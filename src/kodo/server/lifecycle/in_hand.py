"""The rows of the store that this server works on, by id; and which of those that are unfinished nobody works on.

A row may be this server's without any work on it: the connection to a shared database was lost in the middle of a COMMIT, so
that a row was kept, or taken over, whose writer was told that it was not. Whoever takes up unfinished work asks here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar


class _HasId(Protocol):
    @property
    def id(self) -> str:
        """The id of the row."""


R = TypeVar("R", bound=_HasId)


class InHand:
    """The ids of rows that are worked on, from before they are stored until their end is."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._readings: list[set[str]] = []

    def take(self, row_id: str) -> None:
        """This server works on a row, or is about to store it."""
        self._ids.add(row_id)
        for seen in self._readings:
            seen.add(row_id)

    def release(self, row_id: str) -> None:
        """The end of a row is stored, or the row could not be."""
        self._ids.discard(row_id)

    async def left(self, read: Callable[[], Awaitable[Sequence[R]]]) -> Sequence[R]:
        """Of the unfinished rows that are read, those that this server worked on at no time of the reading: a row whose end
        is stored meanwhile may be read as unfinished."""
        seen = set(self._ids)
        self._readings.append(seen)
        try:
            return [row for row in await read() if row.id not in seen]
        finally:
            self._readings.remove(seen)
