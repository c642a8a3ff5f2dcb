"""What the functions under test are given when other code calls them, as source: the arguments of calls inside a call.

A parser hands its visitor nodes that nobody could guess. Written down as they come in, before the function changes them.
"""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from kodo.jobs.execution.model import Arg, Entered
from kodo.jobs.execution.worker import literal

_MAX_ROWS = 30
"""Rows of arguments of one function that are written down."""
_MAX_LOOKS = 300
"""Calls of one function that are looked at: what is called in a loop is mostly given the same."""
_MAX_SOURCE = 400
_DEEPEST = 5


@dataclass
class EnteredFunctions:
    """Keeps the arguments that the functions ``names`` are given; ``defined`` are the names that sources may use."""

    names: Collection[str]
    defined: Mapping[str, object]
    new: list[Entered] = field(default_factory=list)
    """The rows since it was last emptied."""
    _looks: dict[str, int] = field(default_factory=dict)
    _known: dict[str, set[Entered]] = field(default_factory=dict)

    def see(self, frame: types.FrameType) -> None:
        """Write down what a frame that begins is given."""
        name = frame.f_code.co_qualname
        if name not in self.names:
            return
        looks = self._looks[name] = self._looks.get(name, 0) + 1
        known = self._known.setdefault(name, set())
        if looks > _MAX_LOOKS or len(known) >= _MAX_ROWS:
            return
        with contextlib.suppress(
            Exception
        ):  # values of foreign classes may raise anything when they are looked at
            row = self._row(name, frame)
            if row is not None and row not in known:
                known.add(row)
                self.new.append(row)

    def taken(self) -> tuple[Entered, ...]:
        """The rows since it was last asked."""
        out, self.new = tuple(self.new), []
        return out

    def _row(self, name: str, frame: types.FrameType) -> Entered | None:
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        args = [Arg(one, self._source(frame.f_locals[one])) for one in names if one not in ("self", "cls")]
        written = tuple(one for one in args if one.source)
        return Entered(name, written) if written else None

    def _source(self, value: object) -> str:
        """The source of a value; "" where it has none or a long one: then one of its type is made."""
        try:
            text = input_source(value, self.defined)
        except Exception:  # noqa: BLE001 - NoSource, and whatever a foreign class raises while it is looked at
            return ""
        return text if len(text) <= _MAX_SOURCE else ""


def input_source(value: object, defined: Mapping[str, object], depth: int = 0) -> str:
    """The source of a value that is like a given one: of an instance, a call of its class with what its attributes hold.

    Unlike what a test expects, an input need not be equal to what was seen: it only has to be one that code makes.

    Raises:
        NoSource: it has none, or it is nested too deep.
    """
    if depth > _DEEPEST:
        raise literal.NoSource("the value is nested too deep")
    with contextlib.suppress(literal.NoSource):
        return literal.source(value, defined)

    def inner(item: object) -> str:
        return input_source(item, defined, depth + 1)

    if type(value) is list:
        return f"[{', '.join(map(inner, value))}]"
    if type(value) is tuple:
        return f"({''.join(f'{inner(item)}, ' for item in value)})"
    if type(value) is dict:
        return "{" + ", ".join(f"{inner(key)}: {inner(item)}" for key, item in value.items()) + "}"
    return _made(value, defined, inner)


def _made(value: object, defined: Mapping[str, object], inner: Callable[[object], str]) -> str:
    """A call of the class of an instance: each parameter is given what the attribute of its name holds."""
    kind = type(value)
    if defined.get(kind.__name__) is not kind:
        raise literal.NoSource(f"{kind.__name__} is not defined in the module")
    given: list[str] = []
    for name, param in inspect.signature(kind).parameters.items():
        held = next((one for one in (name, f"_{name}") if hasattr(value, one)), "")
        if held:
            given.append(
                f"{name}={inner(getattr(value, held))}" if _is_named(param) else inner(getattr(value, held))
            )
        elif param.default is param.empty and param.kind not in (param.VAR_POSITIONAL, param.VAR_KEYWORD):
            raise literal.NoSource(f"what {kind.__name__} was made of is not known")
    return f"{kind.__name__}({', '.join(given)})"


def _is_named(param: inspect.Parameter) -> bool:
    return param.kind is param.KEYWORD_ONLY or param.default is not param.empty
