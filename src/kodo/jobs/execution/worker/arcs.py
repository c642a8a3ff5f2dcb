"""Which lines of a file ran one after the other, by the interpreter's trace."""

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kodo.jobs.execution.worker.entered_calls import EnteredFunctions

# What sys.settrace takes, which refers to itself; typeshed has it under a private name.
Trace = Callable[[types.FrameType, str, Any], Any]

current_trace: Callable[[], Any] = sys.gettrace
"""The trace function that is set, also where :func:`seems_untraced` hides it."""


@contextlib.contextmanager
def seems_untraced() -> Iterator[None]:
    """What asks whether a debugger is there hears that none is, as it would anywhere else: some code then does another thing."""
    told = sys.gettrace
    sys.gettrace = lambda: None
    try:
        yield
    finally:
        sys.gettrace = told


@dataclass
class Arcs:
    """The pairs of lines of one file that ran one after the other, in the same frame. -1 is entry.

    ``setup_lines`` are those that ran while the inputs were made and in the setup.
    """

    filename: str
    seen: set[tuple[int, int]] = field(default_factory=set)
    entered: EnteredFunctions | None = None
    setup_lines: set[int] = field(default_factory=set)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Trace what comes before the call itself."""
        other, previous = Arcs(self.filename), current_trace()
        sys.settrace(other)
        try:
            yield
        finally:
            sys.settrace(previous)
            self.setup_lines = {line for arc in other.seen for line in arc if line > 0}

    def __call__(self, frame: types.FrameType, event: str, argument: Any) -> Trace | None:
        """The global trace function."""
        if frame.f_code.co_filename != self.filename or frame.f_code.co_name == "<module>":
            return None
        if self.entered is not None:
            self.entered.see(frame)
        previous = -frame.f_code.co_firstlineno

        def local(frame: types.FrameType, event: str, argument: Any) -> Trace | None:
            nonlocal previous
            if event == "line":
                self.seen.add((previous, frame.f_lineno))
                previous = frame.f_lineno
            elif event == "return":
                self.seen.add((previous, -frame.f_code.co_firstlineno))
            return local

        return local
