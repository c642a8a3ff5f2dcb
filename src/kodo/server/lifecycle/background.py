"""How much background work may wait: a number of responses for each key, and a number in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from kodo.server.lifecycle.errors import Overloaded, TooManyQueued

Holder: TypeAlias = tuple[str, str | None]
"""An owner and the id of a key."""


class BackgroundQueue:
    """Counts background responses that are not over."""

    def __init__(self, limit: int, limit_per_key: int) -> None:
        self._limit = limit
        self._limit_per_key = limit_per_key
        self._counts: Counter[Holder] = Counter()
        self._total = 0

    def __len__(self) -> int:
        """The number of background responses that are not over."""
        return self._total

    def reserve(self, holder: Holder) -> Callable[[], None]:
        """Take a place; the function that is returned gives it back.

        Raises:
            Overloaded: there are too many in all.
            TooManyQueued: the key has too many.
        """
        if self._total >= self._limit:
            raise Overloaded("The server's queue of background responses is full.", retry_after=10.0)
        if self._counts[holder] >= self._limit_per_key:
            raise TooManyQueued(
                f"This key has {self._limit_per_key} background responses that are not over; wait for some of them.",
                retry_after=10.0,
            )
        return self.take(holder)

    def take(self, holder: Holder) -> Callable[[], None]:
        """Take a place even where there are too many: for what was accepted before a restart."""
        self._counts[holder] += 1
        self._total += 1
        taken = True

        def give_back() -> None:
            nonlocal taken
            if taken:
                taken = False
                self._total -= 1
                self._counts[holder] -= 1
                if not self._counts[holder]:
                    del self._counts[holder]

        return give_back
