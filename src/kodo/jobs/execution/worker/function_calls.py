"""The calls of functions that are to be made in both versions: of each some, before any gets more.

A function whose calls are slow gets no more of the time than the others. Calls that there was no time for wait for the next turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.both_versions import BATCH, BothVersions, Compared, Gathered
from kodo.jobs.execution.worker.returned_functions import ReturnedFunctions
from kodo.jobs.execution.worker.seeds import through
from kodo.jobs.execution.worker.turns import Turns

FIRST = 40
"""The first calls of one of many functions; of a caller, those that show whether it leads to what changed."""
_FEW = 4
"""The functions up to which none waits after its first calls."""
_MAX_STALLED = 5
"""The calls that do not end, before as after the change, after which no more are made of a function."""


@dataclass(slots=True)
class _Function:
    """What is left to call of one function."""

    name: str
    every: Sequence[Call]
    left: list[Call]
    made: int = 0
    known: int = 0
    """The calls of it that are seeds of variations and were looked into."""
    arrived: bool = False
    stalled: int = 0
    """The calls that neither version ended."""
    gathered: Gathered = field(default_factory=Gathered)


class FunctionCalls:
    """``must_arrive``: a function whose first calls go through no changed one is called no further."""

    def __init__(self, both: BothVersions, *, must_arrive: bool = False) -> None:
        self._both = both
        self._must_arrive = must_arrive
        self._functions: dict[str, _Function] = {}
        self._turns: Turns[str] = Turns()
        self._returned = ReturnedFunctions()

    def put(self, function: str, calls: Sequence[Call]) -> None:
        """Take the calls of one more function."""
        calls = self._both.numbered(calls)
        self._functions[function] = _Function(function, calls, list(calls))

    def is_ready(self) -> bool:
        """Whether there are calls to make."""
        return bool(self._open())

    def is_left(self) -> bool:
        """The same: one call is worth as much as another."""
        return self.is_ready()

    def left(self) -> list[str]:
        """The functions of which calls are left."""
        return list(self._open())

    def turn(self, until: float) -> Iterator[Compared]:
        """Make some calls of the function that had the least time, as many as there is time for until ``until``."""
        one = self._functions[self._turns.next(self._open())]
        with self._turns.measured(one.name):
            size = FIRST if not one.made and self._is_short() else BATCH
            batch, one.left = one.left[:size], one.left[size:]
            both = self._both
            seen = both.make(batch, until)
            one.left[:0] = [call for call in batch if call.id not in seen]
            one.made += len(seen)
            one.left[:0] = both.numbered(self._returned.calls(batch, seen))
            one.arrived = one.arrived or any(map(through, seen.values()))
            one.gathered.add(batch, seen)
            one.stalled += sum(all(each.kind == "timeout" for each in pair) for pair in seen.values())
            if one.stalled >= _MAX_STALLED:
                one.left.clear()
            if self._must_arrive and not one.arrived and one.made >= FIRST:
                one.left.clear()
            yield from self._judged(one)

    def rest(self) -> Iterator[Compared]:
        """What was not judged yet, when no more calls will be made."""
        for one in self._functions.values():
            if one.gathered.seen:
                yield self._both.judge(one.name, *one.gathered.take())

    def _is_short(self) -> bool:
        """Whether a function is to be called only a few times before others are."""
        return self._must_arrive or len(self._open()) > _FEW

    def _open(self) -> dict[str, _Function]:
        settled = self._both.settled
        return {name: one for name, one in self._functions.items() if one.left and name not in settled}

    def _judged(self, one: _Function) -> Iterator[Compared]:
        """What the calls made up to now show: outside, and inside where they took new ways."""
        both = self._both
        if one.gathered.seen and (
            not one.left or one.gathered.is_telling(lambda call, pair: both.is_better([one.name], call, pair))
        ):
            yield both.judge(one.name, *one.gathered.take())
        if one.name in both.shown:
            if one.name in both.settled:
                one.left.clear()
            return
        seeds = self._both.seeds.get(one.name)
        if seeds is None or (one.left and one.made <= FIRST) or not self._both.may_look_inside():
            return
        if ways := [call for call in seeds.calls[one.known :] if call.function == one.name]:
            one.known = len(seeds.calls)
            yield self._both.look_inside(one.name, ways, () if one.left else one.every)
