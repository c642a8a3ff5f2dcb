"""What a piece of work does inside some functions of one file: which it calls, their lines, what they make of what.

A function that is given the same and makes something else of it in another version has changed, also where nothing
outside of it shows that.
"""

import inspect
import sys
import time
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kodo.jobs.execution.worker.describe import described

_MAX_CALLS = 8
_MAX_SECONDS = 0.1
_MAX_TEXT = 1500
_DEPTH = 1
# What sys.settrace takes, which refers to itself; typeshed has it under a private name.
Trace = Callable[[types.FrameType, str, Any], Any]


class Inner(msgspec.Struct, frozen=True):
    """One call inside: the function, its arguments and the state of its instance, and what came of them."""

    function: str
    arguments: str
    instance: str
    result: str


@dataclass
class Probe:
    """What was seen of functions ``names`` of ``file``: those called, their lines, and their first calls."""

    file: str
    names: Collection[str]
    defined: Mapping[str, object]
    root: str
    reached: set[str] = field(default_factory=set)
    lines: set[int] = field(default_factory=set)
    calls: list[Inner] = field(default_factory=list)
    _spent: float = 0.0

    def __call__(self, frame: types.FrameType, event: str, argument: Any) -> Trace | None:
        """The global trace function."""
        code = frame.f_code
        if code.co_filename != self.file:
            return None
        name = code.co_qualname.partition(".<locals>")[0]
        if name not in self.names:
            return None
        self.reached.add(name)
        plain = name == code.co_qualname and self._has_room()
        return self._local(name, _parameters(frame) if plain else None)

    def _local(self, name: str, given: dict[str, object] | None) -> Trace:
        before = self._texts(given) if given is not None else None
        raised = ""

        def local(frame: types.FrameType, event: str, argument: Any) -> Trace:
            nonlocal raised
            if event == "line":
                self.lines.add(frame.f_lineno)
                raised = ""
            elif event == "exception":
                raised = f"raises {argument[0].__name__}: {argument[1]}"
            elif event == "return" and given is not None and before is not None and self._has_room():
                self._note(name, before, raised or self._text(argument), self._texts(given))
            return local

        return local

    def _has_room(self) -> bool:
        return len(self.calls) < _MAX_CALLS

    def _note(self, name: str, given: dict[str, str], result: str, after: dict[str, str] | None) -> None:
        changed = {key: text for key, text in (after or {}).items() if given.get(key) != text}
        outcome = "; ".join([result, *(f"{key} = {text}" for key, text in changed.items())])
        arguments = ", ".join(f"{key}={text}" for key, text in given.items() if key != "self")
        self.calls.append(Inner(name, arguments, given.get("self", ""), outcome))

    def _texts(self, given: dict[str, object]) -> dict[str, str] | None:
        """The objects as texts; None where describing has taken too long already."""
        if self._spent > _MAX_SECONDS:
            return None
        return {name: self._text(value) for name, value in given.items()}

    def _text(self, value: object) -> str:
        start = time.perf_counter()
        try:
            text = described(value, self.defined, self.root, _DEPTH, properties=False)
        except Exception as error:  # noqa: BLE001 - a value that is not made yet may raise anything when it is looked at
            text = f"<raises {type(error).__name__}>"
        self._spent += time.perf_counter() - start
        return text[:_MAX_TEXT]


def _parameters(frame: types.FrameType) -> dict[str, object]:
    """The objects that a frame's function was given, by parameter; what a parameter is bound to later does not count."""
    code, space = frame.f_code, frame.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return {name: space[name] for name in code.co_varnames[:count] if name in space}


@contextmanager
def probed(probe: Probe) -> Iterator[Probe]:
    """Watch the block."""
    before = sys.gettrace()
    sys.settrace(probe)
    try:
        yield probe
    finally:
        sys.settrace(before)


def first_difference(before: Collection[Inner], after: Collection[Inner]) -> tuple[Inner, Inner] | None:
    """The first calls of one function with equal arguments on equal instances of which something else came."""
    known: dict[tuple[str, str, str], Inner] = {}
    for one in before:
        known.setdefault((one.function, one.arguments, one.instance), one)
    seen: set[tuple[str, str, str]] = set()
    for one in after:
        key = (one.function, one.arguments, one.instance)
        if key in known and key not in seen and known[key].result != one.result:
            return known[key], one
        seen.add(key)
    return None
