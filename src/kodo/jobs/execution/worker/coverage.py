"""When a search for a difference is dry: for long, no call through a changed function did anything there that no earlier one had done.

A difference that calls find is mostly found by those that run a statement, or a part of a condition, which none ran before, or not
long after them. What such calls do with other values on the same lines is tried as often as has shown to matter; then it is enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kodo.jobs.execution.worker.outcome import Outcome

_MANY, _FEW = 500, 50
"""The calls without anything new after which a search is dry, and of calls that take long; more where it took more of them until then."""
_LEAST = 0.4
"""The part of the time that is long for a search, which is never dry in less: calls that take no time are made by thousands."""
_SOUGHT = 2
"""How many times as long it goes on where none has run the lines that the change touched."""


class Coverage:
    """What the calls through one changed function ran, and how they ended, in both versions. ``is_sought`` says that there are lines
    which the change touched: once they ran, only calls that run them count.
    """

    def __init__(self, *, is_sought: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_sought = is_sought
        self._has_arrived = False
        self._clock = clock
        self._seen: set[object] = set()
        self._calls = self._calls_then = 0
        self._then = clock()
        """When something new was done last."""

    def add(self, pair: tuple[Outcome, Outcome], *, is_near: bool) -> None:
        """Take what a call did in the version before and in the one after; ``is_near``: it ran touched lines."""
        if is_near and not self._has_arrived:
            self._has_arrived, self._calls = True, 0
            self._seen.clear()
        if self._has_arrived and not is_near:
            return
        self._calls += 1
        known = len(self._seen)
        for side, one in enumerate(pair):
            self._seen.update((side, line) for line in one.lines)
            self._seen.add((side, one.kind, one.parts.get("raises", "")))
        if len(self._seen) > known:
            self._calls_then, self._then = self._calls, self._clock()

    @property
    def is_empty(self) -> bool:
        """Whether no call went through the function."""
        return not self._calls

    def is_dry(self, seconds: float) -> bool:
        """Whether nothing new was done for so many calls, or with fewer of them for so many ``seconds``: never for fewer than there were
        until something new was done last, and never in a small part of the seconds.
        """
        since = self._calls - self._calls_then
        patience = _SOUGHT if self._is_sought and not self._has_arrived else 1
        quiet = (self._clock() - self._then) / (patience * seconds) if seconds > 0 else 1.0
        least = _FEW if quiet >= 1 else _MANY
        return quiet >= _LEAST and since >= patience * max(least, self._calls_then)
