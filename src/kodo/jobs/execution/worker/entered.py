"""What the functions under test are given when other code calls them, as source: the arguments of calls inside a call.

A parser hands its visitor nodes that nobody could guess. Written down as they come in, before the function changes them.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from kodo.jobs.execution.model import Arg, Entered
from kodo.jobs.execution.worker import literal

_MAX_ROWS = 30
"""Rows of arguments of one function that are written down."""
_MAX_LOOKS = 300
"""Calls of one function that are looked at: what is called in a loop is mostly given the same."""
_MAX_SOURCE = 400


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
            text = literal.source(value, self.defined)
        except literal.NoSource:
            return ""
        return text if len(text) <= _MAX_SOURCE else ""
