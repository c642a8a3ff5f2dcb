"""Compare two versions of a module: the calls that do something else, each made sure of and made smaller.

A difference counts when both versions do the same again in another order and under another hash seed.
"""

import itertools
import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.difference import Difference, rank, tells
from kodo.jobs.execution.worker.handover import Incoming
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.next_calls import About, NextCalls
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.pair import Pair, SideFailed
from kodo.jobs.execution.worker.probe import Inner, first_difference
from kodo.jobs.execution.worker.seeds import Seeds, Two, through
from kodo.jobs.execution.worker.shrinking import shrunk, stable
from kodo.jobs.execution.worker.smaller import size

_MAX_DIFFERENCES = 12
_SHRUNK = 3
_BATCH = 100
_TRIAL = 40
"""The calls of a caller that show whether it leads to what changed."""
_FIRST_OF_A_FILE = 24
_TOUCHES = 10
"""How much more it counts that a test's call runs touched lines than that it goes through a changed function."""
_VALUES, _CHANGED, _TESTS, _CALLERS, _EXPLORE = 0.1, 0.3, 0.12, 0.1, 0.15
"""The parts of the budget: for values, for the calls of changed functions, for those of each file of calls out of tests, for
callers, and for variations. What is left is for the start and for making sure.
"""
_POLL_SECONDS = 0.02
_GATHER_SECONDS = 0.2
"""The calls out of tests that come in this time are made together, since a batch costs more than a call."""
_MAX_VAIN = 40
"""The times that variations find no new way before no more are made, until there are new calls to vary."""
_MAX_INSIDE = 5
_LOOKED_INSIDE = 30
_INSIDE = 0.08
"""The part of the budget for looking inside the calls of one changed function."""
_INSIDE_SHARE = 0.3
"""The part of the time since the start after which calls are not looked into any more."""
_VARY_SECONDS = 0.5
_TELLING = 2
"""The rank of a difference that shows a change well enough to look no further."""
_SHRINK_SECONDS = 2.5
"""For all the calls of one function that are made smaller."""


Group = tuple[str, tuple[Call, ...]]
"""A function, or a value of the module, with the calls to make of it."""


class Compare(msgspec.Struct, frozen=True, tag=True):
    """Compare two versions, each a folder below the project; ``groups`` are functions with their calls.

    ``seconds`` are for one call; none is begun after the monotonic time ``until``.
    """

    before: ModuleLocation
    after: ModuleLocation
    groups: tuple[Group, ...]
    seconds: float
    until: float
    tests: tuple[Call, ...] = ()
    roots: tuple[str, ...] = ()
    """The changed functions. Calls that go through one are made with other inputs too."""
    about: About = About()
    values: tuple[Group, ...] = ()
    """Values of the module with what is asked of them, before all else."""
    later: tuple[str, ...] = ()
    """Files beside the versions that grow while the comparison runs: each is handed more ``tests`` (``Incoming``)."""
    rest: str = ""
    """A file beside the versions that comes while these are imported, with the rest of ``groups``; "" for none."""


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
    """Compare values, then changed functions, then calls out of tests as they come, then callers, then variations of what goes
    through a changed function, while there is time; a function that is shown to differ is not looked at further.

    Variations are also made while calls out of tests are waited for.
    """
    try:
        work = _Work(job)
        yield from work.compare_all(job.values, _VALUES)
        groups = work.groups()
        changed = [group for group in groups if group[0] in job.roots or not job.roots]
        callers = [group for group in groups if group not in changed]
        yield from work.compare_all(changed, _CHANGED)
        if not work.all_shown():
            yield from work.compare_tests(job.tests, "")
        yield from work.compare_incoming(Incoming(_folder(), job.later))
        if not work.all_shown():
            yield from work.compare_all(work.left_out(), _CHANGED)
            yield from work.compare_all(callers, _CALLERS, must_arrive=True)
            yield from work.explore(_EXPLORE)
        if left := work.left_out():
            yield Exhausted(tuple(name for name, _ in left))
        yield Finished()
    except SideFailed as error:
        yield Failed(str(error))


class _Work:
    """Both versions under two hash seeds; the second pair is started for the first difference."""

    def __init__(self, job: Compare) -> None:
        self._job = job
        self._first = Pair(job.before, job.after, job.seconds, 1, job.about.words, job.until)
        self._first.wait()  # the time of the imports is no phase's
        self._start = time.monotonic()
        self._budget = job.until - self._start
        self._inside_seconds = 0.0
        self._second: Pair | None = None
        self._shown: set[str] = set()
        self._next = NextCalls(job.about)
        self._left_out: list[Group] = []
        self._tests_seconds: defaultdict[str, float] = defaultdict(float)
        self._tests_of: Counter[str] = Counter()
        self._hits: Counter[str] = Counter()
        self._vain = 0
        self._seeds = {root: Seeds(root, job.about.touched.get(root, ((), ()))) for root in job.roots}
        self._watched: tuple[str, ...] = job.roots
        self._number = 1

    def groups(self) -> list[Group]:
        """All functions with their calls, when those that come later have come; without these where they do not in time."""
        path = _folder() / self._job.rest
        while self._job.rest and not path.exists() and not self._is_over():
            time.sleep(_POLL_SECONDS)
        groups = list(self._job.groups)
        if self._job.rest and path.exists():
            groups += msgspec.json.decode(path.read_bytes(), type=list[Group])
        self._number += max((call.id for _, calls in groups for call in calls), default=0)
        self._watched = tuple(dict.fromkeys((*self._job.roots, *(name for name, _ in groups))))
        return groups

    def all_shown(self) -> bool:
        """Whether every changed function has a difference."""
        return bool(self._job.roots) and self._shown >= set(self._job.roots)

    def left_out(self) -> list[Group]:
        """The functions that there was no time for and that nothing else showed; they are handed out once."""
        found, self._left_out = self._left_out, []
        return [group for group in found if group[0] not in self._shown]

    def compare_all(
        self, groups: Sequence[Group], part: float, *, must_arrive: bool = False
    ) -> Iterator[CompareAnswer]:
        """Make the calls of each function on both sides, in a part of the budget.

        ``must_arrive``: a function whose first calls go through no changed one is called no further.
        """
        limit = self._limit(part)
        for at, (function, calls) in enumerate(groups):
            if time.monotonic() > limit:
                self._left_out += groups[at:]
                return
            count, shown = 0, False
            seeds = self._seeds.get(function)
            known = len(seeds.calls) if seeds is not None else 0
            first = _TRIAL if must_arrive else _BATCH
            batches = itertools.chain([list(calls[:first])], _cut(calls[first:]))
            for seen in self._until_it_tells(batches, limit, must_arrive=must_arrive):
                count += len(seen)
                self._keep(calls, seen)
                found = self._judge(function, calls, seen)
                yield found
                if shown := any(not one.within for one in found.differences):
                    break
            if not shown and seeds and (ways := seeds.calls[known:]) and self._may_look_inside():
                yield self._look_inside(function, ways, calls)
            is_left = must_arrive and first <= count < len(calls) and time.monotonic() <= limit
            if not shown and not is_left and (count < len(calls) or self._is_over()):
                yield Exhausted((function,))

    def _look_inside(self, function: str, ways: Sequence[Call], calls: Sequence[Call] = ()) -> Compared:
        """Make a call of each way through a changed function again, and some others; look at what is done inside, and at what
        the functions that they get to do with other arguments.
        """
        step = max(1, len(calls) // _LOOKED_INSIDE)
        chosen = list({call.id: call for call in (*ways, *calls[::step])}.values())[:_BATCH]
        start = time.monotonic()
        limit = self._limit(_INSIDE)
        seen = self._first.run(chosen, reach=self._job.roots, vary=_VARY_SECONDS, until=limit)
        found = self._inside(chosen, seen)
        self._inside_seconds += time.monotonic() - start
        self._note(function, found, {})
        changed = found[0].within.partition("(")[0] if found else function
        return Compared(changed if changed in self._seeds else function, 0, 0, tuple(found))

    def _until_it_tells(
        self,
        batches: Iterable[Sequence[Call]],
        limit: float,
        ran: dict[int, Two] | None = None,
        *,
        must_arrive: bool = False,
    ) -> Iterator[dict[int, Two]]:
        """The outcomes of calls, gathered up to a batch in which the versions differ and at the end of the batches or the
        time; whoever is content with what they show does not go on. ``ran`` gets them all at once.

        ``must_arrive``: they end also after a batch up to which no call went through a changed function.
        """
        gathered: dict[int, Two] = {}
        for batch in batches:
            gathered |= self._first.run(batch, reach=self._job.roots, inner=False, until=limit)
            if ran is not None:
                ran |= gathered
            is_late = time.monotonic() > limit
            if must_arrive and not any(map(through, gathered.values())):
                break
            if is_late or any(tells(*pair) and rank(*pair) <= _TELLING for pair in gathered.values()):
                yield gathered
                gathered = {}
            if is_late:
                return
        if gathered:
            yield gathered

    def compare_incoming(self, incoming: Incoming) -> Iterator[Compared]:
        """Make calls out of tests as they come, as long as they are of use; vary others while none has come."""
        looked = -math.inf
        exploring: Iterator[Compared] = iter(())
        while not (incoming.ended or self.all_shown() or self._is_over()):
            come: list[tuple[str, list[Call]]] = []
            if time.monotonic() > looked + _GATHER_SECONDS:
                looked = time.monotonic()
                come = list(incoming.read())
            for name, calls in come:
                if not self.all_shown():
                    yield from self.compare_tests(calls, name)
            if come or incoming.ended:
                continue
            found = next(exploring, None)  # of one function, so that nothing that comes waits for all of them
            if found is None:
                exploring = self.explore_once()
                found = next(exploring, None)
            if found is not None:
                yield found
            else:
                time.sleep(_POLL_SECONDS)
        self._next.forget()

    def compare_tests(self, calls: Sequence[Call], source: str) -> Iterator[Compared]:
        """Make calls out of tests in the part of the budget that those from one source have together."""
        start = time.monotonic()
        limit = min(self._job.until, start + _TESTS * self._budget - self._tests_seconds[source])
        yield from self._compare_tests(self._numbered(calls), limit)
        self._tests_seconds[source] += time.monotonic() - start

    def _compare_tests(self, calls: Sequence[Call], limit: float) -> Iterator[Compared]:
        """Make calls out of tests; each is judged under the changed functions that it goes through, and one of each way is
        looked into.
        """
        known = {root: len(seeds.calls) for root, seeds in self._seeds.items()}
        ran: dict[int, Two] = {}
        for seen in self._until_it_tells(self._batches_of_tests(calls, ran), limit, ran):
            self._keep(sorted(calls, key=size), seen)
            for root in self._job.roots:
                own = [call for call in calls if call.id in seen and root in through(seen[call.id])]
                if own:
                    named = [msgspec.structs.replace(call, function=root) for call in own]
                    yield self._judge(root, named, {call.id: seen[call.id] for call in own})
            if self.all_shown():
                return
        yield from self._look_into_tests(calls, ran, known)

    def _look_into_tests(
        self, calls: Sequence[Call], ran: Mapping[int, Two], known: Mapping[str, int]
    ) -> Iterator[Compared]:
        """Look inside a call of each way that was not ``known``: so many seeds of each changed function were."""
        left = [seeds for root, seeds in self._seeds.items() if root not in self._shown]
        ways = [call for seeds in left for call in seeds.calls[known[seeds.function] :]]
        if ways and self._may_look_inside():
            roots = {seeds.function for seeds in left}
            own = [call for call in calls if call.id in ran and roots & through(ran[call.id])]
            yield self._look_inside(left[0].function, ways, own)

    def _numbered(self, calls: Iterable[Call]) -> list[Call]:
        numbered = [
            msgspec.structs.replace(call, id=number) for number, call in enumerate(calls, self._number)
        ]
        self._number += len(numbered)
        self._next.read(numbered)
        self._vain = 0
        return numbered

    def _batches_of_tests(self, calls: Sequence[Call], ran: Mapping[int, Two]) -> Iterator[list[Call]]:
        """The calls out of tests: the first ones of every file, then the others, of files that reached most first."""
        first: list[Call] = []
        later: list[Call] = []
        for call in calls:
            self._tests_of[call.function] += 1
            (first if self._tests_of[call.function] <= _FIRST_OF_A_FILE else later).append(call)
        yield from _cut(first)
        hits = self._hits
        for call in first:
            if call.id in ran:
                hits[call.function] += bool(through(ran[call.id])) + _TOUCHES * self._is_near(ran[call.id])
        yield from _cut(sorted(later, key=lambda call: -hits[call.function]))

    def explore(self, part: float) -> Iterator[Compared]:
        """Vary the calls that go through changed functions while there is time, and they still find new ways."""
        limit = self._limit(part)
        while time.monotonic() <= limit and not self.all_shown():
            found = list(self.explore_once(limit))
            yield from found
            if not found:
                return

    def _count_ways(self) -> int:
        return sum(len(seeds.lines) for seeds in self._seeds.values())

    def explore_once(self, limit: float = math.inf) -> Iterator[Compared]:
        """Some variations of the calls through each changed function that is not shown; a call on a new way is looked into.
        None where they find nothing new any more.
        """
        if self._vain >= _MAX_VAIN:
            return
        ways = self._count_ways()
        yield from self._explore_each(limit)
        self._vain = 0 if self._count_ways() > ways else self._vain + 1

    def _explore_each(self, limit: float) -> Iterator[Compared]:
        for root, seeds in self._seeds.items():
            if root in self._shown or not seeds.calls or self._is_over():
                continue
            batch = self._next.of(seeds, self._number, lambda calls: self._compared(calls, limit))
            if not batch:
                continue
            self._number += len(batch)
            known = len(seeds.calls)
            seen = self._first.run(batch, reach=self._job.roots, inner=False, until=limit)
            self._next.learn(seeds, batch, seen)
            self._keep(batch, seen)
            yield self._judge(root, batch, seen)
            if root not in self._shown and (ways := seeds.calls[known:]) and self._may_look_inside():
                yield self._look_inside(root, ways)

    def _compared(self, calls: Sequence[Call], limit: float) -> dict[int, Two]:
        """Make calls to see what the functions compare that are changed or lead there."""
        return self._first.run(calls, reach=self._job.roots, until=limit, operands=self._watched)

    def _may_look_inside(self) -> bool:
        """Whether looking inside, which takes long, has not had its part of the time since the start."""
        return self._inside_seconds <= _INSIDE_SHARE * (time.monotonic() - self._start)

    def _is_over(self) -> bool:
        """Whether no call can be made any more, so that what was not seen again may still be there."""
        return time.monotonic() > self._job.until

    def _limit(self, part: float) -> float:
        """When a phase that begins now and may take this part of the budget is over."""
        return min(self._job.until, time.monotonic() + part * self._budget)

    def _keep(self, calls: Sequence[Call], seen: Mapping[int, Two]) -> None:
        """Remember the calls that go through a changed function on a way that no earlier one took."""
        for seeds in self._seeds.values():
            seeds.keep(calls, seen)

    def _is_near(self, pair: Two) -> bool:
        """Whether a call runs lines that the change touched."""
        return any(self._seeds[root].touches(pair) for root in through(pair) & self._seeds.keys())

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
            self._job.before, self._job.after, self._job.seconds, 2, self._job.about.words, self._job.until
        )
        return self._second

    def _note(self, function: str, found: Sequence[Difference], seen: dict[int, Two]) -> None:
        """Remember which changed functions these differences show."""
        if any(rank(one.before, one.after) <= _TELLING for one in found):
            self._shown.add(function)
        self._shown |= {one.within.partition("(")[0] for one in found if one.within and not one.varied}
        for one in found:
            if not one.within and rank(one.before, one.after) <= _TELLING and one.first.id in seen:
                self._shown |= through(seen[one.first.id])

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


def _folder() -> Path:
    """Where the versions are, and what is handed over while the comparison runs."""
    return Path(os.environ["KODO_PROJECT"])


def _cut(calls: Sequence[Call]) -> Iterator[list[Call]]:
    return (list(calls[start : start + _BATCH]) for start in range(0, len(calls), _BATCH))


def _told(outcome: Outcome) -> list[Inner]:
    """The calls inside, but for constructors: their new state shows where it is used, or not at all."""
    return [one for one in outcome.inner if not one.function.endswith(".__init__")]


def _without_stalls(calls: Sequence[Call], seen: dict[int, Two]) -> list[Call]:
    """The calls but for those after the first that one version does not end."""
    stalls = [call.id for call in calls if any(one.kind in ("timeout", "died") for one in seen[call.id])]
    return [call for call in calls if call.id not in stalls[1:]]


def _reason(pairs: Iterable[Two]) -> str:
    reasons = [one.parts.get("why", "") for pair in pairs for one in pair if one.kind == "unusable"]
    return max(set(reasons), key=reasons.count) if reasons else ""
