"""Calls out of tests that are to be made in both versions, from one source: first some of every file, then those of the files
that reached most, and those of files with slow calls after the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.both_versions import BATCH, BothVersions, Compared, Gathered
from kodo.jobs.execution.worker.seeds import Two, through

_FIRST_OF_A_FILE = 24
_SLOW = 2
"""The slow calls of a file from which on its calls wait until there is nothing else to do."""
_TOUCHES = 10
"""How much more it counts that a test's call runs touched lines than that it goes through a changed function."""


class TestCalls:
    """Each call is judged under the changed functions that it goes through, and one of each way is looked into."""

    __test__ = False  # no test of pytest

    def __init__(self, both: BothVersions) -> None:
        self._both = both
        self._first: list[Call] = []
        self._later: list[Call] = []
        self._of: Counter[str] = Counter()
        self._hits: Counter[str] = Counter()
        self._slow: Counter[str] = Counter()
        self._gathered = Gathered()

    def put(self, calls: Sequence[Call]) -> list[Call]:
        """Take more calls; returns them with their numbers."""
        calls = self._both.numbered(calls)
        for call in calls:
            self._of[call.function] += 1
            (self._first if self._of[call.function] <= _FIRST_OF_A_FILE else self._later).append(call)
        return calls

    def is_ready(self) -> bool:
        """Whether there are calls to make of files that few are known of, or that led to a changed function, and that are not slow."""
        hits, slow = self._hits, self._slow
        return any(slow[call.function] < _SLOW for call in self._first) or any(
            hits[call.function] and slow[call.function] < _SLOW for call in self._later
        )

    def is_left(self) -> bool:
        """Whether there are calls to make at all."""
        return bool(self._first or self._later)

    def turn(self, until: float) -> Iterator[Compared]:
        """Make some, as many as there is time for until ``until``."""
        seeds = self._both.seeds.values()
        known = {one.function: len(one.calls) for one in seeds}
        batch = self._take()
        seen = self._both.make(batch, until)
        self._learn(batch, seen)
        self._put_back(batch, seen)
        self._gathered.add(batch, seen)
        if not self.is_left() or self._gathered.is_telling(self._is_better):
            yield from self.rest()
        left = [one for one in seeds if one.function not in self._both.shown]
        ways = [call for one in left for call in one.calls[known[one.function] :]]
        if ways and self._both.may_look_inside():
            roots = {one.function for one in left}
            own = [call for call in batch if call.id in seen and roots & through(seen[call.id])]
            yield self._both.look_inside(left[0].function, ways, own)

    def _is_better(self, call: Call, pair: Two) -> bool:
        """Whether a call shows a changed function better than what is known of it."""
        settled = self._both.settled
        return self._both.is_better((name for name in through(pair) if name not in settled), call, pair)

    def rest(self) -> Iterator[Compared]:
        """What was not judged yet."""
        calls, seen = self._gathered.take()
        for root in self._both.roots:
            own = [call for call in calls if root in through(seen[call.id])]
            if own:
                named = [msgspec.structs.replace(call, function=root) for call in own]
                yield self._both.judge(root, named, {call.id: seen[call.id] for call in own})

    def _take(self) -> list[Call]:
        if all(self._slow[call.function] >= _SLOW for call in self._first):
            self._later[:0] = self._first
            self._later.sort(key=self._worth)
            self._first, self._later = self._later[:BATCH], self._later[BATCH:]
        batch, self._first = self._first[:BATCH], self._first[BATCH:]
        return batch

    def _worth(self, call: Call) -> tuple[bool, bool, int, int]:
        """Smaller for calls that are made earlier."""
        hits, slow = self._hits[call.function], self._slow[call.function]
        return slow >= _SLOW, not hits, slow, -hits

    def _put_back(self, batch: Sequence[Call], seen: Mapping[int, Two]) -> None:
        """Keep what there was no time for, behind the calls of other files where one that was made is slow: it did not end, or the
        time was over with it.
        """
        made = [call for call in batch if call.id in seen]
        slow = {call.function for call in made if any(one.kind == "timeout" for one in seen[call.id])}
        if len(made) < len(batch):
            slow |= {call.function for call in made[-1:]}
            self._first[:0] = [call for call in batch if call.id not in seen]
        self._slow.update(slow)
        self._first.sort(key=lambda call: self._slow[call.function])

    def _learn(self, batch: Sequence[Call], seen: Mapping[int, Two]) -> None:
        for call in batch:
            if (pair := seen.get(call.id)) is not None:
                self._hits[call.function] += bool(through(pair)) + _TOUCHES * self._both.is_near(pair)
