"""Make calls in both versions and judge what differs: each difference made sure of and made smaller.

A difference counts when both versions do the same again in another order, under another hash seed and at another path. Knows neither where
calls come from nor which are made first.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.carried_values import CarriedValues
from kodo.jobs.execution.worker.difference import (
    Difference,
    Worth,
    is_plain,
    is_private,
    rank,
    tells,
    worth,
)
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.next_calls import About
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.probe import Inner, first_difference
from kodo.jobs.execution.worker.seeds import Seeds, Two, through
from kodo.jobs.execution.worker.shrinking import is_stated, shrunk, stable
from kodo.jobs.execution.worker.smaller import is_odd, size
from kodo.jobs.execution.worker.stopped_calls import StoppedCalls
from kodo.jobs.execution.worker.version_pair import Pair

BATCH = 100
_MAX_DIFFERENCES = 12
_SHRUNK = 3
_MAX_INSIDE = 5
_LOOKED_INSIDE = 30
_INSIDE = 0.08
"""The part of the budget for looking inside the calls of one changed function."""
_INSIDE_SHARE = 0.2
"""The part of the time since the start after which calls are not looked into any more."""
_VARY_SECONDS = 0.5
_TELLING = 2
"""The rank of a difference that shows a change well enough to look no further."""
_SHRINK_SECONDS = 2.5
"""For all the calls of one function that are made smaller."""
_ENOUGH, _ENOUGH_INSIDE = 0.35, 0.5
"""The parts of the budget after which no more is begun where something is shown already that a caller sees, and where not all that is
shown a caller sees.
"""
_DRY = 0.25
"""The part of the budget for calls that do nothing new, after which a function is not looked at further."""


class Compared(msgspec.Struct, frozen=True, tag=True):
    """What was found of one function; ``tried`` counts the calls that ran on both sides, ``unstable`` those that differ
    by themselves. ``unusable`` is the commonest reason for calls that could not be made.
    """

    function: str
    tried: int
    unstable: int
    differences: tuple[Difference, ...]
    unusable: str = ""


class BothVersions:
    """Both versions under two hash seeds; the second pair is started for the first difference.

    ``seconds`` are for one call; none is begun after the monotonic time ``until``. ``roots`` are the changed functions.
    ``elsewhere`` are changed values that no function of the module reads: every call out of tests may go through them.
    """

    def __init__(
        self,
        before: ModuleLocation,
        after: ModuleLocation,
        seconds: float,
        until: float,
        roots: tuple[str, ...],
        about: About,
        elsewhere: tuple[str, ...] = (),
    ) -> None:
        self._versions = before, after
        self._seconds = seconds
        self._until = until
        self._words = about.words
        self._first = self._pair(1)
        self._first.wait()  # the time of the imports is nobody's
        self._start = time.monotonic()
        self._second: Pair | None = None
        self._inside_seconds = 0.0
        self.last_number = 0
        """The largest number that a call has."""
        self._functions, self._elsewhere = roots, elsewhere
        self.roots = (*roots, *elsewhere)
        self.seeds = {root: Seeds(root, about.touched.get(root, ((), ()))) for root in self.roots}
        self.shown: set[str] = set()
        """The functions that have a difference."""
        self.settled: set[str] = set()
        """Those of them that have one which a caller sees, so that nothing better is looked for."""
        self._best: dict[str, Worth] = {}
        self.stopped = StoppedCalls()
        self._carried = {root: CarriedValues() for root in self.roots}
        self.only_counts = False
        """Whether what is judged from now on is of no use, since everything is shown."""

    def _pair(self, seed: int) -> Pair:
        return Pair(*self._versions, self._seconds, seed, self._words, self._until, elsewhere=seed > 1)

    @property
    def budget(self) -> float:
        """The seconds from the end of the imports on."""
        return self._until - self._start

    def all_shown(self) -> bool:
        """Whether every changed function has a difference that a caller sees."""
        return bool(self.roots) and self.settled >= set(self.roots)

    def is_dry(self, function: str) -> bool:
        """Whether the calls through a changed function do nothing new there for long."""
        return self.seeds[function].coverage.is_dry(_DRY * self.budget)

    def unreached(self) -> set[str]:
        """The changed functions that no call went through yet."""
        return {root for root, seeds in self.seeds.items() if seeds.coverage.is_empty}

    def all_dry(self) -> bool:
        """Whether nothing more is to be expected of any changed function that calls go through; there is one."""
        reached = self.seeds.keys() - self.unreached()
        return bool(reached) and all(root in self.settled or self.is_dry(root) for root in reached)

    def is_over(self) -> bool:
        """Whether no call can be made any more, so that what was not seen again may still be there."""
        return time.monotonic() > self._until

    def is_enough(self) -> bool:
        """Whether nothing more is to be begun: there is no time, everything is shown, or something is and a part of the time over."""
        part = _ENOUGH if self.shown <= self.settled else _ENOUGH_INSIDE
        is_late = time.monotonic() > self._start + part * self.budget
        return self.is_over() or self.all_shown() or (bool(self.shown) and is_late)

    def numbered(self, calls: Iterable[Call]) -> list[Call]:
        """The calls with numbers that no other call has."""
        found = [
            msgspec.structs.replace(call, id=number)
            for number, call in enumerate(calls, self.last_number + 1)
        ]
        self.last_number += len(found)
        return found

    def make(self, calls: Sequence[Call], until: float) -> dict[int, Two]:
        """Both outcomes of each call that there is time for until ``until``; those on a new way through a changed function are kept."""
        seen = self._first.run(calls, reach=self._functions, inner=False, until=until)
        self.stopped.see(calls, seen)
        if self._elsewhere:
            of_tests = {call.id for call in calls if call.origin == "test"}
            seen = {
                number: (self._through_values(pair[0]), self._through_values(pair[1]))
                if number in of_tests
                else pair
                for number, pair in seen.items()
            }
        by_size = sorted(calls, key=size) if any(call.origin == "test" for call in calls) else calls
        for seeds in self.seeds.values():
            seeds.keep(by_size, seen)
        return seen

    def compared(self, calls: Sequence[Call], watched: Sequence[str], until: float) -> dict[int, Two]:
        """Make calls to see what the functions ``watched`` compare."""
        return self._first.run(calls, reach=self._functions, until=until, operands=watched)

    def _through_values(self, outcome: Outcome) -> Outcome:
        """What a call out of a test did, as one that may have gone through the values that are read elsewhere."""
        return msgspec.structs.replace(outcome, reached=(*outcome.reached, *self._elsewhere))

    def carried(self) -> list[Call]:
        """The public calls to make because of what private ones showed since the last time."""
        return [
            call
            for root, values in self._carried.items()
            if root not in self.settled
            for call in values.calls([*self.seeds[root].near, *self.seeds[root].calls])
        ]

    def is_near(self, pair: Two) -> bool:
        """Whether a call runs lines that the change touched."""
        return any(self.seeds[root].touches(pair) for root in through(pair) & self.seeds.keys())

    def is_better(self, functions: Iterable[str], call: Call, pair: Two) -> bool:
        """Whether a call shows one of these functions well, and better than all before it: of those that a caller does not see, one is as
        good as another, and each that is judged takes seconds.
        """
        if not tells(*pair) or rank(*pair) > _TELLING:
            return False
        one = worth(call, *pair)
        end = None if is_plain(one) else 2
        return any(name not in self._best or one[:end] < self._best[name][:end] for name in functions)

    def judge(self, function: str, calls: Sequence[Call], seen: Mapping[int, Two]) -> Compared:
        """What these outcomes show of a function."""
        known = self._best.get(function)
        candidates = [
            call
            for call in calls
            if call.id in seen
            and tells(*seen[call.id])
            and (known is None or worth(call, *seen[call.id]) < known)
        ]
        candidates.sort(
            key=lambda call: (not is_stated(call), *worth(call, *seen[call.id]), is_odd(call), size(call))
        )
        found: list[Difference] = []
        steady: dict[int, Two] = {}
        chosen = [] if self.only_counts else of_each_kind(_without_stalls(candidates, seen), seen)
        if chosen:
            steady = stable(chosen, seen, self._again())
            left = [call for call in chosen if call.id in steady]
            end = time.monotonic() + _SHRINK_SECONDS
            found = [
                shrunk(call, steady[call.id], self._first, self._again(), end) for call in left[:_SHRUNK]
            ]
            found += [Difference(call, *steady[call.id], call) for call in left[_SHRUNK:]]
            found = self._sure(found)
        self._note(function, found, seen)
        ran = [pair for pair in seen.values() if all(one.kind != "unusable" for one in pair)]
        unstable = 0 if self.is_over() else len(chosen) - len(steady)
        return Compared(function, len(ran), unstable, tuple(found), _reason(seen.values()))

    def may_look_inside(self) -> bool:
        """Whether looking inside, which takes long, has not had its part of the time since the start."""
        return self._inside_seconds <= _INSIDE_SHARE * (time.monotonic() - self._start)

    def look_inside(self, function: str, ways: Sequence[Call], calls: Sequence[Call] = ()) -> Compared:
        """Make a call of each way through a changed function again, and some others; look at what is done inside, and at what
        the functions that they get to do with other arguments.
        """
        step = max(1, len(calls) // _LOOKED_INSIDE)
        chosen = list({call.id: call for call in (*ways, *calls[::step])}.values())[:BATCH]
        start = time.monotonic()
        limit = min(self._until, start + _INSIDE * self.budget)
        seen = self._first.run(chosen, reach=self._functions, vary=_VARY_SECONDS, until=limit)
        found = self._inside(chosen, seen)
        self._inside_seconds += time.monotonic() - start
        self._note(function, found, {})
        changed = found[0].within.partition("(")[0] if found else function
        return Compared(changed if changed in self.seeds else function, 0, 0, tuple(found))

    def _again(self) -> Pair:
        """The pair under the other hash seed."""
        self._second = self._second or self._pair(2)
        return self._second

    def _sure(self, found: Sequence[Difference]) -> list[Difference]:
        """Those that come out alike a few times more, by themselves: what hangs on the time, such as how long its text is, may have
        done so twice by chance in one of many calls, and what another call left behind, such as a variable of the environment, is not
        in the program that repeats it.
        """
        calls = [msgspec.structs.replace(one.call, id=number) for number, one in enumerate(found)]
        seen: dict[int, Two] = {number: (one.before, one.after) for number, one in enumerate(found)}
        for pair in (self._first, self._again(), self._first):
            seen = stable(calls, seen, pair, apart=True) if calls else {}
            calls = [call for call in calls if call.id in seen]
        return [
            msgspec.structs.replace(found[call.id], before=seen[call.id][0], after=seen[call.id][1])
            for call in calls
        ]

    def _note(self, function: str, found: Sequence[Difference], seen: Mapping[int, Two]) -> None:
        """Remember which changed functions these differences show."""
        self.shown |= {one.within.partition("(")[0] for one in found if one.within and not one.varied}
        for one in found:
            if one.within or rank(one.before, one.after) > _TELLING:
                continue
            how_well = worth(one.call, one.before, one.after)
            names = {function, *(through(seen[one.first.id]) if one.first.id in seen else ())}
            self.shown |= names
            if is_plain(how_well):
                self.settled |= names
            for name in names:
                self._best[name] = min(how_well, self._best.get(name, how_well))
                if is_private(one.call) and name in self._carried:
                    self._carried[name].show(one.call)

    def _inside(self, calls: Sequence[Call], seen: Mapping[int, Two]) -> list[Difference]:
        """The smallest call with the same outcome in both versions, inside which a changed function does something else."""
        rows = [
            (call, found)
            for call in calls
            if call.id in seen
            and seen[call.id][0].same(seen[call.id][1])
            and (found := first_difference(*map(_told, seen[call.id])))
        ]
        rows.sort(key=lambda row: (bool(row[1][0].varied), size(row[0])))
        chosen = rows[:_MAX_INSIDE]
        if not chosen:
            return []
        vary = 4.0 if chosen[0][1][0].varied else 0.0
        for pair in (self._again(), self._first):
            again = pair.run([call for call, _ in chosen], 4.0, self._functions, vary=vary)
            chosen = [
                (call, found)
                for call, found in chosen
                if call.id in again and first_difference(*map(_told, again[call.id])) == found
            ]
        if not chosen:
            return []
        call, found = chosen[0]
        before, after = (Outcome(call.id, "value", {"result": one.result}) for one in found)
        within = f"{found[0].function}({found[0].arguments})"
        return [Difference(call, before, after, call, within, found[0].varied)]


class Gathered:
    """Outcomes that wait for their judgement: until some of them tell the versions apart well, or no more will come."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.seen: dict[int, Two] = {}

    def add(self, calls: Iterable[Call], seen: Mapping[int, Two]) -> None:
        """Take the calls that have an outcome."""
        self.calls += [call for call in calls if call.id in seen]
        self.seen.update(seen)

    def is_telling(self, is_better: Callable[[Call, Two], bool]) -> bool:
        """Whether some show a change better than what is known."""
        return any(is_better(call, self.seen[call.id]) for call in self.calls)

    def take(self) -> tuple[list[Call], dict[int, Two]]:
        """All of them; none are left."""
        taken = self.calls, self.seen
        self.calls, self.seen = [], {}
        return taken


def _told(outcome: Outcome) -> list[Inner]:
    """The calls inside, but for constructors: their new state shows where it is used, or not at all."""
    return [one for one in outcome.inner if not one.function.endswith(".__init__")]


def _without_stalls(calls: Sequence[Call], seen: Mapping[int, Two]) -> list[Call]:
    """The calls but for those after the first that one version does not end."""
    stalls = [call.id for call in calls if any(one.kind in ("timeout", "died") for one in seen[call.id])]
    return [call for call in calls if call.id not in stalls[1:]]


def of_each_kind(calls: Sequence[Call], seen: Mapping[int, Two]) -> list[Call]:
    """The first dozen of the calls, in their order, from each pair of kinds of outcomes in turn: where results differ by chance in every
    call, those would be the only ones, and an error in one version would not be seen.
    """
    rows: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        before, after = seen[call.id]
        rows.setdefault((before.kind, after.kind), []).append(call)
    in_turn = (call for row in itertools.zip_longest(*rows.values()) for call in row if call is not None)
    chosen = {call.id for call in itertools.islice(in_turn, _MAX_DIFFERENCES)}
    return [call for call in calls if call.id in chosen]


def _reason(pairs: Iterable[Two]) -> str:
    reasons = [one.parts.get("why", "") for pair in pairs for one in pair if one.kind == "unusable"]
    return max(set(reasons), key=reasons.count) if reasons else ""
