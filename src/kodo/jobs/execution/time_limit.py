"""A wall-clock limit for a piece of work in the main thread of a process, sub-processes included."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(BaseException):
    """The time is up. Not an Exception, so that nothing in the work takes it for a failure of its own."""


class Deadline:
    """When a job is to be over. ``seconds`` of wall time from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; 0 once the time is up."""
        return max(0.0, self._end - time.monotonic())

    @property
    def up(self) -> bool:
        """Whether the time is up."""
        return self.left == 0


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`OutOfTime` in the block after ``seconds``.

    A limit inside another one ends no later than that one. Only the main thread can be interrupted: in any other
    one, the block has to look at the time itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signal_number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    began = time.monotonic()
    if 0 < outer < seconds:
        signal.setitimer(signal.ITIMER_REAL, outer)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:  # the limit around this one goes on
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - began), 0.001))
