"""Compare two versions of a module: the calls that do something else, each made sure of and made smaller.

A difference counts when both versions do the same again in another order and under another hash seed.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.combination import Combinations
from kodo.jobs.execution.worker.difference import Difference, rank, tells
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.pair import Pair, SideFailed
from kodo.jobs.execution.worker.probe import Inner, first_difference
from kodo.jobs.execution.worker.shrinking import Two, shrunk, stable
from kodo.jobs.execution.worker.smaller import size
from kodo.jobs.execution.worker.variation import Variations

_MAX_DIFFERENCES = 12
_SHRUNK = 3
_BATCH = 100
_FIRST_OF_A_FILE = 24
_MAX_SEEDS = 200
_MAX_VARIATIONS = 6000
_EXPLORED_TOGETHER = 60
_CHANGED, _TESTS, _CALLERS, _EXPLORE = 0.3, 0.15, 0.1, 0.15
"""The parts of the budget: for the calls of changed functions, for those out of tests each time some come, for callers, and
for variations. What is left is for the start and for making sure.
"""
_NEWEST_FIRST = 4
_POLL_SECONDS = 0.02
_MAX_INSIDE = 5
_LOOKED_INSIDE = 30
_INSIDE = 0.08
"""The part of the budget for looking inside the calls of one changed function."""
_VARY_SECONDS = 0.5
_TELLING = 2
"""The rank of a difference that shows a change well enough to look no further."""
_SHRINK_SECONDS = 2.5
"""For all the calls of one function that are made smaller."""


class Compare(msgspec.Struct, frozen=True, tag=True):
    """Compare two versions, each a folder below the project; ``groups`` are functions with their calls.

    ``seconds`` are for one call; none is begun after the monotonic time ``until``.
    """

    before: ModuleLocation
    after: ModuleLocation
    groups: tuple[tuple[str, tuple[Call, ...]], ...]
    seconds: float
    until: float
    tests: tuple[Call, ...] = ()
    roots: tuple[str, ...] = ()
    """The changed functions. Calls that go through one are made with other inputs too."""
    words: tuple[str, ...] = ()
    """Texts that the changed code is about."""
    later: tuple[str, ...] = ()
    """Files beside the versions that come while the comparison runs: each holds more ``tests``, as a JSON list."""


class Compared(msgspec.Struct, frozen=True, tag=True):
    """What was found of one function; ``tried`` counts the calls that ran on both sides, ``unstable`` those that differ
    by themselves. ``unusable`` is the commonest reason for calls that could not be made.
    """

    function: str
    tried: int
    unstable: int
    differences: tuple[Difference, ...]
    unusable: str = ""


class Exhausted(msgspec.Struct, frozen=True, tag=True):
    """The budget ran out before these functions, or before all of their calls were made."""

    functions: tuple[str, ...]


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The last answer: the comparison came to its end. Without it the worker was ended from outside."""


CompareAnswer = Compared | Exhausted | Failed | Finished


def run_compare(job: Compare) -> Iterator[CompareAnswer]:
    """Compare changed functions, then calls out of tests as they come, then callers, then variations of what goes through
    a changed function, while there is time; a function that is shown to differ is not looked at further.
    """
    try:
        work = _Work(job)
        changed = [group for group in job.groups if group[0] in job.roots or not job.roots]
        callers = [group for group in job.groups if group not in changed]
        yield from work.compare_all(changed, _CHANGED)
        for tests in work.tests():
            yield from work.compare_tests(tests, _TESTS)
        if not work.all_shown():
            yield from work.compare_all(work.left_out(), _CHANGED)
            yield from work.compare_all(callers, _CALLERS)
            yield from work.explore()
        if left := work.left_out():
            yield Exhausted(tuple(name for name, _ in left))
        yield Finished()
    except SideFailed as error:
        yield Failed(str(error))


class _Work:
    """Both versions under two hash seeds; the second pair is started for the first difference."""

    def __init__(self, job: Compare) -> None:
        self._job = job
        self._first = Pair(job.before, job.after, job.seconds, 1, job.words, job.until)
        self._first.wait()  # the time of the imports is no phase's
        self._budget = job.until - time.monotonic()
        self._second: Pair | None = None
        self._shown: set[str] = set()
        self._tests: list[Call] = []
        self._left_out: list[tuple[str, tuple[Call, ...]]] = []
        self._seeds: dict[str, list[Call]] = {root: [] for root in job.roots}
        self._known: dict[str, set[tuple[tuple[tuple[str, ...], str], tuple[int, ...]]]] = {
            root: set() for root in job.roots
        }
        self._number = 1 + max((call.id for _, calls in job.groups for call in calls), default=0)

    def all_shown(self) -> bool:
        """Whether every changed function has a difference."""
        return bool(self._job.roots) and self._shown >= set(self._job.roots)

    def left_out(self) -> list[tuple[str, tuple[Call, ...]]]:
        """The functions that there was no time for and that nothing else showed; they are handed out once."""
        found, self._left_out = self._left_out, []
        return [group for group in found if group[0] not in self._shown]

    def compare_all(
        self, groups: Sequence[tuple[str, tuple[Call, ...]]], part: float
    ) -> Iterator[CompareAnswer]:
        """Make the calls of each function on both sides, in a part of the budget."""
        limit = self._limit(part)
        for at, (function, calls) in enumerate(groups):
            if time.monotonic() > limit:
                self._left_out += groups[at:]
                return
            count, shown = 0, False
            new = len(self._seeds.get(function, ()))
            for seen in self._until_it_tells(_cut(calls), limit, 0.0):
                count += len(seen)
                self._keep(calls, seen)
                found = self._judge(function, calls, seen)
                yield found
                if shown := any(not one.within for one in found.differences):
                    break
            if not shown and (ways := self._seeds.get(function, [])[new:]):
                yield self._look_inside(function, ways, calls)
            if not shown and (count < len(calls) or self._is_over()):
                yield Exhausted((function,))

    def _look_inside(self, function: str, ways: Sequence[Call], calls: Sequence[Call]) -> Compared:
        """Make a call of each way through a changed function again, and some others, and look at what is done inside."""
        step = max(1, len(calls) // _LOOKED_INSIDE)
        chosen = list({call.id: call for call in (*ways, *calls[::step])}.values())[:_BATCH]
        seen = self._first.run(chosen, reach=self._job.roots, until=self._limit(_INSIDE))
        found = self._inside(chosen, seen)
        self._note(function, found, {})
        return Compared(function, 0, 0, tuple(found))

    def _until_it_tells(
        self, batches: Iterable[Sequence[Call]], limit: float, vary: float
    ) -> Iterator[dict[int, Two]]:
        """The outcomes of calls, gathered up to a batch in which the versions differ and at the end of the batches or the
        time; whoever is content with what they show does not go on.
        """
        gathered: dict[int, Two] = {}
        for batch in batches:
            gathered |= self._first.run(
                batch, reach=self._job.roots, vary=vary, inner=bool(vary), until=limit
            )
            is_late = time.monotonic() > limit
            if is_late or any(tells(*pair) and rank(*pair) <= _TELLING for pair in gathered.values()):
                yield gathered
                gathered = {}
            if is_late:
                return
        if gathered:
            yield gathered

    def tests(self) -> Iterator[list[Call]]:
        """The calls out of tests, numbered on, as they come; none more when every changed function is shown to differ."""
        if self._job.tests and not self.all_shown():
            yield self._numbered(self._job.tests)
        folder = Path(os.environ["KODO_PROJECT"])
        for name in self._job.later:
            while not self.all_shown() and not self._is_over() and not (folder / name).exists():
                time.sleep(_POLL_SECONDS)
            if not self.all_shown() and (folder / name).exists():
                yield self._numbered(msgspec.json.decode((folder / name).read_bytes(), type=list[Call]))

    def _numbered(self, calls: Iterable[Call]) -> list[Call]:
        numbered = [
            msgspec.structs.replace(call, id=number) for number, call in enumerate(calls, self._number)
        ]
        self._number += len(numbered)
        self._tests += numbered
        return numbered

    def compare_tests(self, calls: Sequence[Call], part: float) -> Iterator[Compared]:
        """Make calls out of tests in a part of the budget; each is judged under the changed functions that it goes
        through.
        """
        ran: dict[int, Two] = {}
        for seen in self._until_it_tells(
            self._batches_of_tests(calls, ran), self._limit(part), _VARY_SECONDS
        ):
            ran |= seen
            self._keep(sorted(calls, key=size), seen)
            for root in self._job.roots:
                own = [call for call in calls if call.id in seen and root in _through(seen[call.id])]
                if own:
                    named = [msgspec.structs.replace(call, function=root) for call in own]
                    yield self._judge(root, named, {call.id: seen[call.id] for call in own})
            if self.all_shown():
                return

    def _batches_of_tests(self, calls: Sequence[Call], ran: Mapping[int, Two]) -> Iterator[list[Call]]:
        """The calls out of tests: the first ones of every file, then the others, of files that reached most first."""
        counts: Counter[str] = Counter()
        first: list[Call] = []
        later: list[Call] = []
        for call in calls:
            counts[call.function] += 1
            (first if counts[call.function] <= _FIRST_OF_A_FILE else later).append(call)
        yield from _cut(first)
        hits = Counter(call.function for call in first if call.id in ran and _through(ran[call.id]))
        yield from _cut(sorted(later, key=lambda call: -hits[call.function]))

    def explore(self) -> Iterator[Compared]:
        """Vary the calls that go through changed functions, those on new lines of one again, in turn while there is time."""
        limit = self._limit(_EXPLORE)
        combinations = Combinations(self._tests)
        left = {
            root: _Exploration(self._seeds[root], self._tests, self._job.words, root, combinations)
            for root in self._job.roots
            if self._seeds[root]
        }
        while left:
            for root, exploration in list(left.items()):
                if time.monotonic() > limit:
                    return
                batch = exploration.batch(self._number) if root not in self._shown else []
                if not batch:
                    del left[root]
                    continue
                self._number += len(batch)
                seen = self._first.run(batch, reach=self._job.roots, vary=_VARY_SECONDS)
                exploration.learn(batch, seen)
                self._keep(batch, seen)
                yield self._judge(root, batch, seen)

    def _is_over(self) -> bool:
        """Whether no call can be made any more, so that what was not seen again may still be there."""
        return time.monotonic() > self._job.until

    def _limit(self, part: float) -> float:
        """When a phase that begins now and may take this part of the budget is over."""
        return min(self._job.until, time.monotonic() + part * self._budget)

    def _keep(self, calls: Sequence[Call], seen: dict[int, Two]) -> None:
        """Remember the calls that go through a changed function on a way that no earlier one took.

        A test's objects are worth more than made-up ones on the same lines, so each of its programs counts by itself.
        """
        for call in calls:
            if call.id not in seen or any(
                one.kind in ("timeout", "died", "unusable") for one in seen[call.id]
            ):
                continue
            program = (call.setup, call.expression) if call.origin == "test" else ((), "")
            way = program, tuple(line for one in seen[call.id] for line in (*one.lines, 0))
            for root in _through(seen[call.id]) & self._seeds.keys():
                if way not in self._known[root] and len(self._seeds[root]) < _MAX_SEEDS:
                    self._known[root].add(way)
                    self._seeds[root].append(call)

    def _judge(self, function: str, calls: Sequence[Call], seen: dict[int, Two]) -> Compared:
        candidates = [call for call in calls if call.id in seen and tells(*seen[call.id])]
        candidates.sort(key=lambda call: (rank(*seen[call.id]), size(call)))
        found: list[Difference] = []
        steady: dict[int, Two] = {}
        chosen = _without_stalls(candidates, seen)[:_MAX_DIFFERENCES]
        if chosen:
            steady = stable(chosen, seen, self._again())
            left = [call for call in chosen if call.id in steady]
            end = time.monotonic() + _SHRINK_SECONDS
            found = [
                shrunk(call, steady[call.id], self._first, self._again(), end) for call in left[:_SHRUNK]
            ]
            found += [Difference(call, *steady[call.id], call) for call in left[_SHRUNK:]]
        if not found:
            found = self._inside(calls, seen)
        self._note(function, found, seen)
        ran = [pair for pair in seen.values() if all(one.kind != "unusable" for one in pair)]
        unstable = 0 if self._is_over() else len(chosen) - len(steady)
        return Compared(function, len(ran), unstable, tuple(found), _reason(seen.values()))

    def _again(self) -> Pair:
        """The pair under the other hash seed."""
        self._second = self._second or Pair(
            self._job.before, self._job.after, self._job.seconds, 2, self._job.words, self._job.until
        )
        return self._second

    def _note(self, function: str, found: Sequence[Difference], seen: dict[int, Two]) -> None:
        """Remember which changed functions these differences show."""
        if any(rank(one.before, one.after) <= _TELLING for one in found):
            self._shown.add(function)
        self._shown |= {one.within.partition("(")[0] for one in found if one.within and not one.varied}
        for one in found:
            if not one.within and rank(one.before, one.after) <= _TELLING and one.first.id in seen:
                self._shown |= _through(seen[one.first.id])

    def _inside(self, calls: Sequence[Call], seen: dict[int, Two]) -> list[Difference]:
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
        again = self._again().run(
            [call for call, _ in chosen], 4.0, self._job.roots, vary=4.0 if chosen[0][1][0].varied else 0.0
        )
        for call, found in chosen:
            if call.id in again and first_difference(*map(_told, again[call.id])) == found:
                before, after = (Outcome(call.id, "value", {"result": one.result}) for one in found)
                within = f"{found[0].function}({found[0].arguments})"
                return [Difference(call, before, after, call, within, found[0].varied)]
        return []


class _Exploration:
    """The variations of the calls that go through one changed function."""

    def __init__(
        self,
        seeds: list[Call],
        tests: Sequence[Call],
        words: Sequence[str],
        root: str,
        combinations: Combinations,
    ) -> None:
        """``seeds`` grows while calls find new ways."""
        self._seeds = seeds
        self._root = root
        self._vary = Variations([*tests, *seeds], words, combinations)
        self._rng = random.Random(0)  # noqa: S311 - test inputs
        self._made: set[tuple[tuple[str, ...], str, tuple[Arg, ...]]] = set()

    def batch(self, number: int) -> list[Call]:
        """The next calls, numbered from one above ``number``; none when nothing new is found or it is enough."""
        out: list[Call] = []
        for _ in range(_EXPLORED_TOGETHER * 2):
            if len(out) >= _EXPLORED_TOGETHER or len(self._made) >= _MAX_VARIATIONS:
                break
            # the newest seeds went where no other did, and are varied most
            at = min(len(self._seeds) - 1, int(self._rng.expovariate(_NEWEST_FIRST / (len(self._seeds) + 1))))
            one = self._vary.one(self._seeds[-1 - at], number + 1 + len(out))
            if one is not None and (key := (one.setup, one.expression, one.args)) not in self._made:
                self._made.add(key)
                out.append(msgspec.structs.replace(one, function=self._root))
        return out

    def learn(self, batch: Sequence[Call], seen: Mapping[int, tuple[Outcome, Outcome]]) -> None:
        """Keep in mind which changes still led to the function."""
        self._vary.learn(
            batch, {call.id for call in batch if call.id in seen and self._root in _through(seen[call.id])}
        )


def _cut(calls: Sequence[Call]) -> Iterator[list[Call]]:
    return (list(calls[start : start + _BATCH]) for start in range(0, len(calls), _BATCH))


def _told(outcome: Outcome) -> list[Inner]:
    """The calls inside, but for constructors: their new state shows where it is used, or not at all."""
    return [one for one in outcome.inner if not one.function.endswith(".__init__")]


def _through(pair: Two) -> frozenset[str]:
    return frozenset(name for one in pair for name in one.reached)


def _without_stalls(calls: Sequence[Call], seen: dict[int, Two]) -> list[Call]:
    """The calls but for those after the first that one version does not end."""
    stalls = [call.id for call in calls if any(one.kind in ("timeout", "died") for one in seen[call.id])]
    return [call for call in calls if call.id not in stalls[1:]]


def _reason(pairs: Iterable[Two]) -> str:
    reasons = [one.parts.get("why", "") for pair in pairs for one in pair if one.kind == "unusable"]
    return max(set(reasons), key=reasons.count) if reasons else ""
