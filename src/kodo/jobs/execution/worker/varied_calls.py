"""Variations of the calls that go through changed functions, for as long as they find new ways there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.both_versions import BothVersions, Compared, Gathered
from kodo.jobs.execution.worker.next_calls import About, NextCalls
from kodo.jobs.execution.worker.seeds import Seeds, Two
from kodo.jobs.execution.worker.turns import Turns

_TIRED, _MAX_VAIN = 6, 40
"""The times in a row that variations of a function find no new way before they wait until there is nothing else to do, and
before no more are made until there are new calls to vary.
"""
_TOGETHER = 600
"""The calls whose outcomes are judged together where none of them tells the versions apart well."""


class VariedCalls:
    """``watched`` are the functions whose comparisons tell which values to try."""

    def __init__(self, both: BothVersions, about: About, watched: Sequence[str]) -> None:
        self._both = both
        self._next = NextCalls(about)
        self._watched = tuple(watched)
        self._vain: Counter[str] = Counter()
        self._ways: Counter[str] = Counter()
        self._turns: Turns[str] = Turns()
        self._left: dict[str, list[Call]] = {}
        """The calls of each function that were thought of when there was no time for them."""
        self._gathered: defaultdict[str, Gathered] = defaultdict(Gathered)

    def read(self, calls: Sequence[Call]) -> None:
        """Take calls out of tests, of whose parts variations are combined."""
        self._next.read(calls)
        self._vain.clear()

    def begin_anew(self) -> None:
        """Vary with the parts of all calls out of tests, where those that came last were too few for that."""
        self._next.forget()

    def is_ready(self) -> bool:
        """Whether there is something to vary that found a new way not long ago."""
        return bool(self._open(_TIRED))

    def is_left(self) -> bool:
        """Whether there is something to vary at all."""
        return bool(self._open(_MAX_VAIN))

    def turn(self, until: float) -> Iterator[Compared]:
        """Some variations of the calls through one changed function; a call on a new way is looked into."""
        both = self._both
        root = self._turns.next(self._open(_TIRED) or self._open(_MAX_VAIN))
        with self._turns.measured(root):
            seeds = both.seeds[root]
            batch = self._left.pop(root, []) or self._new(seeds, until)
            known = len(seeds.calls)
            seen = both.make(batch, until)
            self._next.learn(seeds, batch, seen)
            if left := [call for call in batch if call.id not in seen]:
                self._left[root] = left
            else:
                self._count(seeds, is_end=not batch)
            yield from self._judged(root, batch, seen)
            if root not in both.shown and (ways := seeds.calls[known:]) and both.may_look_inside():
                yield both.look_inside(root, ways)

    def rest(self) -> Iterator[Compared]:
        """What was not judged yet."""
        for root, gathered in self._gathered.items():
            if gathered.seen:
                yield self._both.judge(root, *gathered.take())

    def _new(self, seeds: Seeds, until: float) -> list[Call]:
        """The next variations, in part by what others compared."""
        both = self._both
        batch = self._next.of(
            seeds, both.last_number, lambda calls: both.compared(calls, self._watched, until)
        )
        both.last_number += len(batch)
        return batch

    def _judged(self, root: str, batch: Sequence[Call], seen: Mapping[int, Two]) -> Iterator[Compared]:
        gathered = self._gathered[root]
        gathered.add(batch, seen)
        both = self._both
        if (
            gathered.is_telling(lambda call, pair: both.is_better([root], call, pair))
            or len(gathered.calls) >= _TOGETHER
        ):
            yield self._both.judge(root, *gathered.take())

    def _open(self, vain: int) -> list[str]:
        """The functions to vary calls of that did so in vain less often than that."""
        settled = self._both.settled
        return [
            root
            for root, seeds in self._both.seeds.items()
            if root not in settled
            and seeds.calls
            and not self._both.is_dry(root)
            and (self._vain[root] < vain or self._is_new(seeds))
        ]

    def _is_new(self, seeds: Seeds) -> bool:
        """Whether more ways through a function are known than after its last turn."""
        return len(seeds.lines) > self._ways[seeds.function]

    def _count(self, seeds: Seeds, *, is_end: bool) -> None:
        """Note whether a turn found a new way, or that there is nothing more to make."""
        vain = _MAX_VAIN if is_end else self._vain[seeds.function] + 1
        self._vain[seeds.function] = 0 if self._is_new(seeds) and not is_end else vain
        self._ways[seeds.function] = len(seeds.lines)
