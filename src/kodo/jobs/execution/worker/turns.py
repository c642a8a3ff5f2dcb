"""Whose turn it is: kinds of work share the time by their parts, and what one has no use for is the others'."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Chooses the kind of work that has had the least of its part; ``part`` says how large that is, 1 each where it is not given.

    A kind that comes late is behind the others and goes first until it has caught up.
    """

    def __init__(self, part: Callable[[K], float] = lambda kind: 1.0) -> None:
        self._part = part
        self._seconds: dict[K, float] = {}

    def next(self, ready: Collection[K]) -> K:
        """The one of those which have something to do; of several that had the same, the first."""
        return min(ready, key=lambda kind: self._seconds.get(kind, 0.0) / self._part(kind))

    def took(self, kind: K, seconds: float) -> None:
        """Say how long the turn of one was."""
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds

    @contextmanager
    def measured(self, kind: K) -> Iterator[None]:
        """The turn of one, which is as long as the block."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.took(kind, time.monotonic() - start)
