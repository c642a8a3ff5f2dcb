"""Calls of the functions that calls return: what a factory or decorator makes shows only when it is called.

Each is given plain values, others, and what the first call was given, since a factory and what it makes often take the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from kodo.jobs.execution.follow_ups import follow_ups
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.seeds import Two

_EACH, _MAX_CALLS = 4, 160
"""The calls of one returned function, and of those of all calls of one function."""
_OWN = 0.4
"""Of the values of the later calls, those which the first call was given."""
STRUCTURED = (
    "['1', 2]", "{'a': '1'}", "('1', 2)", "{1, 2}", "enum.Enum('Kind', 'A').A", "dataclasses.make_dataclass('Row', [('n', int)])(1)",
    "[dataclasses.make_dataclass('Row', [('n', str)])('1')]",
)  # fmt: skip
"""Values with something in them: what is made for one type often hands on what it is not made for."""


class ReturnedFunctions:
    """Makes such calls of one function after the other, deterministically, until there are enough."""

    def __init__(self) -> None:
        self._rng = random.Random(0)  # noqa: S311 - test inputs
        self._values = Values(self._rng, {}, ())
        self._count: dict[str, int] = {}

    def calls(self, made: Sequence[Call], seen: Mapping[int, Two]) -> Iterator[Call]:
        """Those for the calls that returned a function in both versions. Their numbers are 0."""
        for call in made:
            pair = seen.get(call.id)
            if pair is None or not all(one.takes for one in pair):
                continue
            if self._count.get(call.function, 0) >= _MAX_CALLS:
                return
            for at, one in enumerate(follow_ups(call, (pair[0].takes,), self._values, _EACH)):
                self._count[call.function] = self._count.get(call.function, 0) + 1
                yield self._varied(call, one) if at else one

    def _varied(self, first: Call, call: Call) -> Call:
        """The call with some values of the first one, or values with something in them, in the place of its own."""
        rng, known = self._rng, len(first.args)
        given = list(call.args[known:])
        for at, arg in enumerate(given):
            own = [one.source for one in first.args]
            if own and rng.random() < _OWN:
                given[at] = Arg(arg.name, rng.choice(own))
            elif rng.random() < 0.5:
                given[at] = Arg(arg.name, rng.choice(STRUCTURED))
        return msgspec.structs.replace(call, args=(*call.args[:known], *given))
