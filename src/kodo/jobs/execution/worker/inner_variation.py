"""Calls of changed functions as a run made them, made again with one of their arguments a little different.

Tests reach a function with objects that nobody could make from its signature. Those objects are kept as copies, one literal
or list in them is changed, and the function is called with them directly. Both versions draw the same changes.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import itertools
import random
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.load import TooLong, time_limit
from kodo.jobs.execution.worker.probe import Inner, LiveCall

_CALL_SECONDS = 0.25
_VARIED = 10
_MAX_ITEMS = 50
_MAX_SHOWN = 80
_NONE_BECOMES: tuple[object, ...] = (True, 0, "a", [])
_FROM_WORDS = 0.4


@dataclass
class InnerVariation:
    """Makes the calls; ``text`` describes a value, ``words`` are texts that the change is about."""

    module: types.ModuleType
    text: Callable[[object], str]
    words: Sequence[str]
    defined: Mapping[str, object]

    def calls(self, live: Sequence[LiveCall], number: int, end: float) -> Iterator[Inner]:
        """What the kept calls give with one argument changed, until the monotonic time ``end``."""
        for at, one in enumerate(live):
            function = _resolve(self.module, one.function)
            if function is None:
                continue
            rng = random.Random(f"{number}:{at}")  # noqa: S311 - test inputs
            for _ in range(_VARIED):
                if time.monotonic() > end:
                    return
                with contextlib.suppress(
                    Exception, TooLong
                ):  # foreign objects may raise anything when they are copied
                    if (made := self._varied(one, function, rng)) is not None:
                        yield made

    def _varied(self, live: LiveCall, function: Callable[..., object], rng: random.Random) -> Inner | None:
        given = copy.deepcopy(live.given)
        changed = self._change(given, rng)
        if not changed:
            return None
        before = {key: self.text(value) for key, value in given.items()}
        result = self._result(function, live, given)
        if result is None:
            return None
        after = {key: self.text(value) for key, value in given.items()}
        done = [f"{key} = {text}" for key, text in after.items() if before[key] != text]
        arguments = ", ".join(f"{key}={text}" for key, text in before.items() if key != "self")
        return Inner(live.function, arguments, before.get("self", ""), "; ".join([result, *done]), changed)

    def _change(self, given: dict[str, object], rng: random.Random) -> str:
        """Change one argument, or one attribute of the instance, in place; return what it became, "" where nothing can be changed."""
        instance = given.get("self")
        places = [(name, False) for name in given if name != "self"]
        places += [(name, True) for name in _attributes(instance)]
        rng.shuffle(places)
        for name, is_attribute in places:
            old = getattr(instance, name) if is_attribute else given[name]
            new = self._other(old, rng)
            if new is old:
                continue
            if is_attribute:
                setattr(instance, name, new)
            else:
                given[name] = new
            text = self.text(new)
            shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
            return f"{'self.' if is_attribute else ''}{name} = {shown}"
        return ""

    def _other(self, value: object, rng: random.Random) -> object:
        """A value like a given one; the same object where there is none."""
        if value is None:
            return rng.choice(_NONE_BECOMES)
        if isinstance(value, list) and value:
            try:
                literal.source(value, {})
            except literal.NoSource:
                return rng.choice(
                    (value[:-1], value[1:], value[::-1], [*value, value[0]], [value[-1], *value])
                )
        try:
            source = literal.source(value, {})
            literal_value(source)
        except (literal.NoSource, NoLiteral):
            return value
        if isinstance(value, str) and self.words and rng.random() < _FROM_WORDS:
            at = rng.randint(0, len(value))
            word = rng.choice(self.words)
            return rng.choice((value[:at] + word + value[at:], word + value, value + word, word))
        near = Values(rng, {}, tuple(self.words)).near(source)
        return literal_value(rng.choice(near)) if near else value

    def _result(
        self, function: Callable[..., object], live: LiveCall, given: dict[str, object]
    ) -> str | None:
        """What the call gives as a text; None where it does not end or is not what can be called so."""
        positional = [given[name] for name in live.positional]
        rest, options = given.get(live.rest, ()), given.get(live.options, {})
        named = {name: given[name] for name in live.named}
        if not isinstance(rest, tuple) or not isinstance(options, dict):
            return None
        named |= {str(name): value for name, value in options.items()}
        random.seed(0)
        try:
            with time_limit(_CALL_SECONDS), contextlib.redirect_stdout(io.StringIO()):
                result = function(*positional, *rest, **named)
                if inspect.isgenerator(result):
                    return f"yields {self.text(list(itertools.islice(result, _MAX_ITEMS)))}"
                if inspect.isawaitable(result):
                    return None
                return self.text(result)
        except TooLong:
            return None
        except Exception as error:  # noqa: BLE001 - what it raises is what it does
            return f"raises {type(error).__name__}: {error}"


def _attributes(instance: object) -> list[str]:
    """The attributes that an instance holds itself, those in slots included."""
    own = list(getattr(instance, "__dict__", {}))
    slots = [name for kind in type(instance).__mro__ for name in kind.__dict__.get("__slots__", ())]
    return [*own, *(name for name in slots if isinstance(name, str) and hasattr(instance, name))]


def _resolve(module: types.ModuleType, qualname: str) -> Callable[..., object] | None:
    """The function that a qualified name means in a module; None where a decorator made something else of it."""
    at: object = module
    for part in qualname.split("."):
        at = vars(at).get(part) if isinstance(at, type | types.ModuleType) else None
    if isinstance(at, property):
        at = at.fget
    if isinstance(at, staticmethod | classmethod):
        at = at.__func__
    return at if isinstance(at, types.FunctionType) and at.__qualname__ == qualname else None
