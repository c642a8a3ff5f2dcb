"""Compare two versions of a module: the calls that do something else, each made sure of and made smaller.

A difference counts when both versions do the same again in another order and under another hash seed.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.combination import Combinations
from kodo.jobs.execution.worker.difference import Difference, common, rank, tells
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.probe import Inner, first_difference
from kodo.jobs.execution.worker.side import Batch
from kodo.jobs.execution.worker.smaller import smaller_calls
from kodo.jobs.execution.worker.variation import Variations

_MAX_DIFFERENCES = 12
_SHRUNK = 3
_BATCH = 100
_FIRST_OF_A_FILE = 24
_MAX_SEEDS = 200
_MAX_VARIATIONS = 6000
_EXPLORED_TOGETHER = 60
_EXPLORE = 0.2
_NEWEST_FIRST = 4
_PHASE = 0.15
"""The parts of the budget for the last phase and for each of the others."""
_MAX_INSIDE = 5
_VARY_SECONDS = 0.5
_TELLING = 2
"""The rank of a difference that shows a change well enough to look no further."""
_MAX_SHRINK_ROUNDS = 12
_SHRINK_WIDTH = 40
_MAX_SHRINK_SECONDS = 2.0


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


class _Side:
    """A process with one version of the module and a home of its own, so that no version reads what another wrote."""

    def __init__(self, name: str, where: ModuleLocation, seed: int) -> None:
        file = Path(f"{name}-{seed}.json").absolute()
        file.write_bytes(msgspec.json.encode(where))
        root = str(Path(os.environ["KODO_PROJECT"]) / name)
        home = tempfile.mkdtemp(prefix="case-", dir=Path.cwd())  # the prefix of folders that no outcome shows
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kodo.jobs.execution.worker.side", str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ
            | {"PYTHONHASHSEED": str(seed), "KODO_PROJECT": root, "HOME": home, "TMPDIR": home},
        )  # fmt: skip
        self._open = False

    def send(self, batch: Batch) -> None:
        """Begin a batch; ``receive`` gives its answers."""
        if not self._open:
            self._ready()
        pipe = self._pipe(self._process.stdin)
        pipe.write(msgspec.json.encode(batch) + b"\n")
        pipe.flush()

    def receive(self) -> dict[int, Outcome]:
        """The outcomes of the batch by the calls' numbers."""
        lines = self._lines()
        return {one.id: one for one in (msgspec.json.decode(line, type=Outcome) for line in lines)}

    def _ready(self) -> None:
        for line in self._lines():
            raise SideFailed(msgspec.json.decode(line, type=Failed).why)
        self._open = True

    def _lines(self) -> Iterator[bytes]:
        for line in self._pipe(self._process.stdout):
            if line == b"\n":
                return
            yield line
        raise SideFailed("the interpreter ended early")

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # noqa: S101 - all pipes were requested
        return pipe


class SideFailed(Exception):
    """One version cannot be run; the message is one line."""


class Pair:
    """Both versions, under one hash seed; ``seconds`` are for one call, ``words`` what the changed code is about.

    No call is begun after the monotonic time ``until``.
    """

    def __init__(
        self,
        before: ModuleLocation,
        after: ModuleLocation,
        seconds: float,
        seed: int,
        words: tuple[str, ...] = (),
        until: float | None = None,
    ) -> None:
        self._seconds = seconds
        self._until = until
        self._words = words
        self.sides = (_Side("before", before, seed), _Side("after", after, seed))

    def run(
        self, calls: Sequence[Call], factor: float = 1.0, reach: Sequence[str] = (), vary: float = 0.0
    ) -> dict[int, tuple[Outcome, Outcome]]:
        """Both outcomes of each call there was time for; both versions work at the same time.

        ``vary``: seconds for calling the functions in ``reach`` with other arguments than the calls do.
        """
        words = self._words if vary else ()
        batch = Batch(tuple(calls), self._seconds * factor, tuple(reach), vary, words, self._until)
        if batch.is_over():
            return {}
        for side in self.sides:
            side.send(batch)
        before, after = (side.receive() for side in self.sides)
        return {number: (before[number], after[number]) for number in before.keys() & after.keys()}


def run_compare(job: Compare) -> Iterator[CompareAnswer]:
    """Compare changed functions, then calls out of tests, then callers, then variations of what goes through a changed
    function, while there is time; a function that is shown to differ is not looked at further.
    """
    try:
        work = _Work(job)
        changed = [group for group in job.groups if group[0] in job.roots or not job.roots]
        callers = [group for group in job.groups if group not in changed]
        yield from work.compare_all(changed, _PHASE if job.tests else 3 * _PHASE)
        if job.tests and not work.all_shown():
            yield from work.compare_tests(_PHASE)
        if not work.all_shown():
            yield from work.compare_all(callers, _PHASE)
            yield from work.explore()
        yield Finished()
    except SideFailed as error:
        yield Failed(str(error))


class _Work:
    """Both versions under two hash seeds; the second pair is started for the first difference."""

    def __init__(self, job: Compare) -> None:
        self._job = job
        self._budget = job.until - time.monotonic()
        self._first = Pair(job.before, job.after, job.seconds, 1, job.words, job.until)
        self._second: Pair | None = None
        self._shown: set[str] = set()
        self._seeds: dict[str, list[Call]] = {root: [] for root in job.roots}
        self._known: dict[str, set[tuple[tuple[tuple[str, ...], str], tuple[int, ...]]]] = {
            root: set() for root in job.roots
        }
        self._number = (
            1 + max((call.id for _, calls in job.groups for call in calls), default=0) + len(job.tests)
        )

    def all_shown(self) -> bool:
        """Whether every changed function has a difference."""
        return bool(self._job.roots) and self._shown >= set(self._job.roots)

    def compare_all(
        self, groups: Sequence[tuple[str, tuple[Call, ...]]], part: float
    ) -> Iterator[CompareAnswer]:
        """Make the calls of each function on both sides, in a part of the budget."""
        limit = self._limit(part)
        for at, (function, calls) in enumerate(groups):
            if time.monotonic() > limit:
                yield Exhausted(tuple(name for name, _ in groups[at:]))
                return
            seen = self._first.run(calls, reach=self._job.roots)
            self._keep(calls, seen)
            found = self._judge(function, calls, seen)
            yield found
            if not found.differences and self._is_over():
                yield Exhausted((function,))

    def compare_tests(self, part: float) -> Iterator[Compared]:
        """Make the calls out of tests in a part of the budget; each is judged under the changed functions that it goes
        through.
        """
        limit, calls = self._limit(part), self._job.tests
        seen: dict[int, tuple[Outcome, Outcome]] = {}
        for batch in self._batches_of_tests(seen):
            if time.monotonic() > limit:
                break
            seen |= self._first.run(batch, reach=self._job.roots, vary=_VARY_SECONDS)
        self._keep(sorted(calls, key=size), seen)
        for root in self._job.roots:
            own = [call for call in calls if call.id in seen and root in _through(seen[call.id])]
            if own:
                named = [msgspec.structs.replace(call, function=root) for call in own]
                yield self._judge(root, named, {call.id: seen[call.id] for call in own})

    def _batches_of_tests(self, seen: Mapping[int, tuple[Outcome, Outcome]]) -> Iterator[list[Call]]:
        """The calls out of tests: the first ones of every file, then the others, of files that reached most first."""
        counts: Counter[str] = Counter()
        first: list[Call] = []
        later: list[Call] = []
        for call in self._job.tests:
            counts[call.function] += 1
            (first if counts[call.function] <= _FIRST_OF_A_FILE else later).append(call)
        yield from _cut(first)
        hits = Counter(call.function for call in first if call.id in seen and _through(seen[call.id]))
        yield from _cut(sorted(later, key=lambda call: -hits[call.function]))

    def explore(self) -> Iterator[Compared]:
        """Vary the calls that go through changed functions, those on new lines of one again, in turn while there is time."""
        limit = self._limit(_EXPLORE)
        combinations = Combinations(self._job.tests)
        left = {
            root: _Exploration(self._seeds[root], self._job, root, combinations)
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

    def _keep(self, calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]) -> None:
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

    def _judge(
        self, function: str, calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]
    ) -> Compared:
        candidates = [call for call in calls if call.id in seen and tells(*seen[call.id])]
        candidates.sort(key=lambda call: (rank(*seen[call.id]), size(call)))
        found: list[Difference] = []
        stable: dict[int, tuple[Outcome, Outcome]] = {}
        chosen = _without_stalls(candidates, seen)[:_MAX_DIFFERENCES]
        if chosen:
            stable = _stable(chosen, seen, self._again())
            left = [call for call in chosen if call.id in stable]
            found = [_shrunk(call, stable[call.id], self._first, self._again()) for call in left[:_SHRUNK]]
            found += [Difference(call, *stable[call.id], call) for call in left[_SHRUNK:]]
        if not found:
            found = self._inside(calls, seen)
        self._note(function, found, seen)
        ran = [pair for pair in seen.values() if all(one.kind != "unusable" for one in pair)]
        unstable = 0 if self._is_over() else len(chosen) - len(stable)
        return Compared(function, len(ran), unstable, tuple(found), _reason(seen.values()))

    def _again(self) -> Pair:
        """The pair under the other hash seed."""
        self._second = self._second or Pair(
            self._job.before, self._job.after, self._job.seconds, 2, self._job.words, self._job.until
        )
        return self._second

    def _note(
        self, function: str, found: Sequence[Difference], seen: dict[int, tuple[Outcome, Outcome]]
    ) -> None:
        """Remember which changed functions these differences show."""
        if any(rank(one.before, one.after) <= _TELLING for one in found):
            self._shown.add(function)
        for one in found:
            if not one.within and rank(one.before, one.after) <= _TELLING and one.first.id in seen:
                self._shown |= _through(seen[one.first.id])

    def _inside(self, calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]) -> list[Difference]:
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

    def __init__(self, seeds: list[Call], job: Compare, root: str, combinations: Combinations) -> None:
        """``seeds`` grows while calls find new ways."""
        self._seeds = seeds
        self._root = root
        self._vary = Variations([*job.tests, *seeds], job.words, combinations)
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


def _through(pair: tuple[Outcome, Outcome]) -> frozenset[str]:
    return frozenset(name for one in pair for name in one.reached)


def _without_stalls(calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]) -> list[Call]:
    """The calls but for those after the first that one version does not end."""
    stalls = [call.id for call in calls if any(one.kind in ("timeout", "died") for one in seen[call.id])]
    return [call for call in calls if call.id not in stalls[1:]]


def _stable(
    calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]], pair: Pair
) -> dict[int, tuple[Outcome, Outcome]]:
    """The calls that still tell the versions apart by what both do again, backwards, under another hash seed and with
    more time; with those parts of their outcomes.
    """
    again = pair.run(calls[::-1], 4.0)
    out: dict[int, tuple[Outcome, Outcome]] = {}
    for call in calls:
        if call.id in again:
            steady = [one.steady(other) for one, other in zip(seen[call.id], again[call.id], strict=True)]
            before, after = steady
            if before is not None and after is not None and tells(*common(before, after)):
                out[call.id] = common(before, after)
    return out


def _shrunk(call: Call, seen: tuple[Outcome, Outcome], first: Pair, second: Pair) -> Difference:
    """The smallest call found that tells the versions apart in the same way."""
    best, outcome = call, seen
    end = time.monotonic() + _MAX_SHRINK_SECONDS
    for _ in range(_MAX_SHRINK_ROUNDS):
        if time.monotonic() > end or any(one.kind in ("timeout", "died") for one in outcome):
            break  # what does not end costs a limit of time at every step
        options = [
            msgspec.structs.replace(one, id=number)
            for number, one in zip(range(_SHRINK_WIDTH), smaller_calls(best), strict=False)
        ]
        results = first.run(options)
        better = [
            one for one in options
            if one.id in results and tells(*results[one.id]) and rank(*results[one.id]) <= rank(*seen)
        ]  # fmt: skip
        steady = _stable(better[:6], results, second)
        if not steady:
            break
        best = min((one for one in better if one.id in steady), key=size)
        outcome = steady[best.id]
    return Difference(best, *outcome, call)


def _reason(pairs: Iterable[tuple[Outcome, Outcome]]) -> str:
    reasons = [one.parts.get("why", "") for pair in pairs for one in pair if one.kind == "unusable"]
    return max(set(reasons), key=reasons.count) if reasons else ""


def size(call: Call) -> int:
    """How much there is to read in a call."""
    return (
        len(call.expression)
        + sum(len(arg.source) for arg in call.args)
        + sum(len(line) + 10 for line in call.setup)
    )
