"""Which slot of the engine works on a prompt.

A slot keeps the state of the last prompt it read. A prompt goes to the slot that holds the longest prefix of it, among
those of its owner and cache key; else to a fresh one, or the one that was used longest ago. State of another owner is
never built upon: the engine is told to read the whole prompt anew, so that neither content nor timing shows what
another owner asked. The engine does not reject a slot number that is out of range or busy, so only this module chooses one.

Knows token ids, owners and keys; knows nothing of HTTP or files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kodo.server.engines.llama.prompting.content import TokenIds


@dataclass
class Slot:
    """One slot, and what it holds. ``ids`` is empty where that is not known."""

    id: int
    owner: str | None = None
    key: str | None = None
    ids: TokenIds = ()
    used: int = 0
    busy: bool = False


@dataclass
class Slots:
    """All slots of one child; :meth:`take` lends one at a time."""

    count: int
    _slots: list[Slot] = field(init=False)
    _free: asyncio.Semaphore = field(init=False)
    _clock: int = 0

    def __post_init__(self) -> None:
        self._slots = [Slot(id=number) for number in range(self.count)]
        self._free = asyncio.Semaphore(self.count)

    @property
    def busy(self) -> int:
        """Slots that are working."""
        return sum(slot.busy for slot in self._slots)

    def forget(self) -> None:
        """The child is a new one: nothing is held any more."""
        for slot in self._slots:
            slot.owner, slot.key, slot.ids = None, None, ()

    @asynccontextmanager
    async def take(self, owner: str, key: str | None, ids: TokenIds) -> AsyncIterator[Slot]:
        """A free slot, waited for in the order of asking."""
        await self._free.acquire()
        slot = self._choose(owner, key, ids)
        self._clock += 1
        slot.used = self._clock
        slot.busy = True
        try:
            yield slot
        finally:
            slot.busy = False
            self._free.release()

    def _choose(self, owner: str, key: str | None, ids: TokenIds) -> Slot:
        """The best of the free slots: longest common prefix, then an empty one, then the least recently used.

        A slot that holds much else under a key of its own is spared while another will do.
        """
        free = [slot for slot in self._slots if not slot.busy]
        best, prefix = None, 0
        for slot in free:
            if slot.owner == owner and slot.key == key:
                common = common_prefix_length(slot.ids, ids)
                if common > prefix and 2 * common >= min(len(slot.ids), len(ids)):
                    best, prefix = slot, common
        if best is not None:
            return best
        return min(free, key=lambda slot: (slot.owner is not None, slot.key is not None, slot.used))


def common_prefix_length(one: TokenIds, other: TokenIds) -> int:
    """How many ids two prompts have in common at their start."""
    limit = min(len(one), len(other))
    if one[:limit] == other[:limit]:
        return limit
    low, high = 0, limit  # the first difference, by halves: slices compare at C speed
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
