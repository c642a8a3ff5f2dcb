"""What a piece of work does inside some functions of one file: which it calls, their lines, what they make of what.

A function that is given the same and makes something else of it in another version has changed, also where nothing
outside of it shows that.
"""

import contextlib
import copy
import dis
import inspect
import sys
import time
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kodo.jobs.execution.worker.describe import described, is_function

_MAX_CALLS = 8
_MAX_SECONDS = 0.1
_MAX_TEXT = 1500
_DEPTH = 1
_YIELD = dis.opmap["YIELD_VALUE"]
_HANDS_BACK = {
    dis.opmap[name]
    for name in ("RETURN_VALUE", "RETURN_CONST", "RETURN_GENERATOR", "YIELD_VALUE")
    if name in dis.opmap
}
"""Where a function ends that does not raise. That it raises again what it caught, no event of its own says."""
_YIELDS = "yields "
# What sys.settrace takes, which refers to itself; typeshed has it under a private name.
Trace = Callable[[types.FrameType, str, Any], Any]


class Inner(msgspec.Struct, frozen=True):
    """One call inside: the function, its arguments and the state of its instance, and what came of them."""

    function: str
    arguments: str
    instance: str
    result: str
    varied: str = ""
    """The argument that was changed for a call that the run itself did not make."""


@dataclass(frozen=True)
class LiveCall:
    """Copies of what a function was given, and how it takes it: the names by position, by name, and the variadic ones."""

    function: str
    given: dict[str, object]
    positional: tuple[str, ...]
    named: tuple[str, ...]
    rest: str
    options: str


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
    keep: int = 0
    """How many calls of each function to keep copies of."""
    describes: bool = True
    """Whether to write down what the calls are given and give."""
    live: list[LiveCall] = field(default_factory=list)
    without: Collection[str] = ()
    """Attributes that are not described."""
    _spent: float = 0.0

    def tracer(self) -> Trace:
        """The global trace function: it is called for every call there is, and leaves those of other files at once."""
        file, enter = self.file, self._enter

        def trace(frame: types.FrameType, event: str, argument: Any) -> Trace | None:
            return enter(frame) if frame.f_code.co_filename == file else None

        return trace

    def _enter(self, frame: types.FrameType) -> Trace | None:
        code = frame.f_code
        name = code.co_qualname.partition(".<locals>")[0]
        if name not in self.names:
            return None
        self.reached.add(name)
        plain = self.describes and name == code.co_qualname and self._has_room()
        if plain and sum(one.function == name for one in self.live) < self.keep:
            self._keep(name, frame)
        return self._local(name, _parameters(frame) if plain else None)

    def _local(self, name: str, given: dict[str, object] | None) -> Trace:
        before = self._texts(given) if given is not None else None
        raised = ""

        def local(frame: types.FrameType, event: str, argument: Any) -> Trace:
            nonlocal raised
            if event == "line":
                self.lines.add(frame.f_lineno)
            elif event == "exception":
                raised = f"raises {argument[0].__name__}: {argument[1]}"
            elif event == "return" and given is not None and before is not None and self._has_room():
                is_end = _instruction(frame) in _HANDS_BACK or not raised
                result = _YIELDS * _is_yield(frame) + self._text(argument) if is_end else raised
                self._note(name, before, result, self._texts(given))
            return local

        return local

    def _keep(self, name: str, frame: types.FrameType) -> None:
        start = time.perf_counter()
        if self._spent < _MAX_SECONDS:
            with contextlib.suppress(Exception):  # foreign objects may raise anything when they are copied
                self.live.append(_live_call(name, frame))
        self._spent += time.perf_counter() - start

    def text(self, value: object) -> str:
        """A value as it is compared."""
        return self._text(value)

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
            text = described(value, self.defined, self.root, _DEPTH, properties=False, without=self.without)
        except Exception as error:  # noqa: BLE001 - a value that is not made yet may raise anything when it is looked at
            text = f"<raises {type(error).__name__}>"
        self._spent += time.perf_counter() - start
        return text[:_MAX_TEXT]


def _is_yield(frame: types.FrameType) -> bool:
    """Whether a function hands a value out here and goes on later."""
    return _instruction(frame) == _YIELD


def _instruction(frame: types.FrameType) -> int:
    """The instruction that a function is at; -1 before the first one."""
    code = frame.f_code.co_code
    return code[frame.f_lasti] if 0 <= frame.f_lasti < len(code) else -1


def _parameters(frame: types.FrameType) -> dict[str, object]:
    """The objects that a frame's function was given, by parameter; what a parameter is bound to later does not count."""
    code, space = frame.f_code, frame.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return {name: space[name] for name in code.co_varnames[:count] if name in space}


def _live_call(name: str, frame: types.FrameType) -> LiveCall:
    code = frame.f_code
    given = copy.deepcopy(_parameters(frame))
    plain = code.co_argcount
    named = code.co_varnames[plain : plain + code.co_kwonlyargcount]
    others = list(code.co_varnames[plain + code.co_kwonlyargcount :])
    rest = others.pop(0) if code.co_flags & inspect.CO_VARARGS else ""
    options = others.pop(0) if code.co_flags & inspect.CO_VARKEYWORDS else ""
    return LiveCall(name, given, code.co_varnames[:plain], named, rest, options)


@contextmanager
def probed(probe: Probe) -> Iterator[Probe]:
    """Watch the block."""
    before = sys.gettrace()
    sys.settrace(probe.tracer())
    try:
        yield probe
    finally:
        sys.settrace(before)


def first_difference(before: Sequence[Inner], after: Sequence[Inner]) -> tuple[Inner, Inner] | None:
    """The first calls of one function with equal arguments on equal instances of which something else came.

    Both versions go the same way until they differ, so their calls are taken in step as long as they are alike; from
    there on, a call is compared with the first one that is like it.
    """
    for one, other in zip(before, after, strict=False):
        if _key(one) != _key(other):
            break
        if _differs(one, other):
            return one, other
    known: dict[tuple[str, str, str], Inner] = {}
    for one in before:
        known.setdefault(_key(one), one)
    seen: set[tuple[str, str, str]] = set()
    for one in after:
        key = _key(one)
        if key in known and key not in seen and _differs(known[key], one):
            return known[key], one
        seen.add(key)
    return None


_ACCIDENTS = frozenset(
    {"TypeError", "AttributeError", "KeyError", "IndexError", "AssertionError", "NameError"}
)
"""Errors of operations on what they were not made for: of an argument that was changed, one is like another."""


def _differs(one: Inner, other: Inner) -> bool:
    """Whether two calls that are alike did something else; of two errors on changed arguments only the kind counts.

    A function that became a generator, or is none any more, hands its values out in another way, which says nothing of them.
    """
    if one.result.startswith(_YIELDS) != other.result.startswith(_YIELDS):
        return False
    if one.varied and one.result.startswith("raises ") and other.result.startswith("raises "):
        kinds = {each.result.partition(":")[0].removeprefix("raises ") for each in (one, other)}
        return len(kinds) > 1 and not kinds <= _ACCIDENTS
    if all(is_function(each.result) for each in (one, other)):
        return False  # what another function does shows when it is called
    return one.result != other.result


def _key(one: Inner) -> tuple[str, str, str]:
    return one.function, one.arguments, one.instance
