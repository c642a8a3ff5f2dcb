"""Compare two versions of a module: the calls that do something else, each made sure of and made smaller.

A difference counts when both versions do the same again in another order and under another hash seed.
"""

import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.difference import Difference, rank, tells
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.side import Batch
from kodo.jobs.execution.worker.smaller import smaller_calls

_MAX_DIFFERENCES = 12
_SHRUNK = 3
_BATCH = 100
_MAX_VARIED = 40
_MAX_VARIATIONS = 600
_MAX_SHRINK_ROUNDS = 12
_SHRINK_WIDTH = 40


class Compare(msgspec.Struct, frozen=True, tag=True):
    """Compare two versions, each a folder below the project; ``groups`` are functions with their calls."""

    before: ModuleLocation
    after: ModuleLocation
    groups: tuple[tuple[str, tuple[Call, ...]], ...]
    seconds: float
    budget: float
    tests: tuple[Call, ...] = ()
    roots: tuple[str, ...] = ()
    """The changed functions; of the calls out of ``tests``, those that go through one are made with other inputs too."""


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
    """The budget ran out before these functions."""

    functions: tuple[str, ...]


CompareAnswer = Compared | Exhausted | Failed


class _Side:
    """A process with one version of the module."""

    def __init__(self, name: str, where: ModuleLocation, seed: int) -> None:
        file = Path(f"{name}-{seed}.json").absolute()
        file.write_bytes(msgspec.json.encode(where))
        root = str(Path(os.environ["KODO_PROJECT"]) / name)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kodo.jobs.execution.worker.side", str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": str(seed), "KODO_PROJECT": root},
        )  # fmt: skip
        self._open = False

    def send(self, calls: Sequence[Call], seconds: float, reach: Sequence[str] = ()) -> None:
        """Begin a batch; ``receive`` gives its answers."""
        if not self._open:
            self._ready()
        pipe = self._pipe(self._process.stdin)
        pipe.write(msgspec.json.encode(Batch(tuple(calls), seconds, tuple(reach))) + b"\n")
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


class _Pair:
    """Both versions, under one hash seed."""

    def __init__(self, job: Compare, seed: int) -> None:
        self._seconds = job.seconds
        self.sides = (_Side("before", job.before, seed), _Side("after", job.after, seed))

    def run(
        self, calls: Sequence[Call], factor: float = 1.0, reach: Sequence[str] = ()
    ) -> dict[int, tuple[Outcome, Outcome]]:
        """Both outcomes of each call; both versions work at the same time."""
        for side in self.sides:
            side.send(calls, self._seconds * factor, reach)
        before, after = (side.receive() for side in self.sides)
        return {number: (before[number], after[number]) for number in before.keys() & after.keys()}


def run_compare(job: Compare) -> Iterator[CompareAnswer]:
    """Compare function after function, changed ones first, then the calls out of tests, until the budget is used."""
    end = time.monotonic() + job.budget
    try:
        work = _Work(job, end)
        changed = [group for group in job.groups if group[0] in job.roots]
        callers = [group for group in job.groups if group[0] not in job.roots]
        for stage, groups in enumerate((changed, callers)):
            limit = end - job.budget / 2 if job.tests and stage == 0 else end
            for at, (function, calls) in enumerate(groups):
                if time.monotonic() > limit:
                    yield Exhausted(tuple(name for name, _ in groups[at:]))
                    break
                yield work.compare(function, calls)
            if stage == 0 and job.tests:
                yield from work.compare_tests()
    except SideFailed as error:
        yield Failed(str(error))


class _Work:
    """Both versions under two hash seeds; the second pair is started for the first difference."""

    def __init__(self, job: Compare, end: float) -> None:
        self._job = job
        self._end = end
        self._first = _Pair(job, 1)
        self._second: _Pair | None = None

    def compare(self, function: str, calls: Sequence[Call]) -> Compared:
        """Make the calls of one function on both sides."""
        return self._judge(function, calls, self._first.run(calls))

    def compare_tests(self) -> Iterator[Compared]:
        """Make the calls out of tests, then those that go through a changed function with other inputs."""
        calls = self._job.tests
        seen: dict[int, tuple[Outcome, Outcome]] = {}
        for start in range(0, len(calls), _BATCH):
            if time.monotonic() > self._end:
                break
            seen |= self._first.run(calls[start : start + _BATCH], reach=self._job.roots)
        for root in self._job.roots:
            own = [call for call in calls if call.id in seen and root in _through(seen[call.id])]
            if own and time.monotonic() < self._end:
                yield self._vary(root, sorted(own, key=size)[:_MAX_VARIED], seen)

    def _vary(self, root: str, calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]) -> Compared:
        every = {call.id: call for call in calls}
        number = max(call.id for call in self._job.tests) + 1
        for call in itertools.islice(_variations(calls), _MAX_VARIATIONS):
            every[number] = msgspec.structs.replace(call, id=number)
            number += 1
        new = [call for call in every.values() if call.id not in seen]
        outcomes = {call.id: seen[call.id] for call in calls}
        for start in range(0, len(new), _BATCH):
            if time.monotonic() > self._end:
                break
            outcomes |= self._first.run(new[start : start + _BATCH])
        return self._judge(
            root, [msgspec.structs.replace(one, function=root) for one in every.values()], outcomes
        )

    def _judge(
        self, function: str, calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]
    ) -> Compared:
        candidates = [call for call in calls if call.id in seen and tells(*seen[call.id])]
        candidates.sort(key=lambda call: (rank(*seen[call.id]), size(call)))
        found: list[Difference] = []
        stable: list[Call] = []
        chosen = _without_stalls(candidates, seen)[:_MAX_DIFFERENCES]
        if chosen:
            self._second = second = self._second or _Pair(self._job, 2)
            stable = _stable(chosen, seen, second)
            found = [
                _shrunk(call, seen[call.id], self._first, second, self._end) for call in stable[:_SHRUNK]
            ]
            found += [Difference(call, *seen[call.id], call) for call in stable[_SHRUNK:]]
        ran = [pair for pair in seen.values() if all(one.kind != "unusable" for one in pair)]
        return Compared(function, len(ran), len(chosen) - len(stable), tuple(found), _reason(seen.values()))


def _through(pair: tuple[Outcome, Outcome]) -> frozenset[str]:
    return frozenset(name for one in pair for name in one.reached)


def _variations(calls: Sequence[Call]) -> Iterator[Call]:
    """The calls with one literal a little changed, one variation of each call in turn."""
    values = Values(random.Random(0), {})  # noqa: S311 - test inputs
    streams = [_variations_of(call, values) for call in calls]
    while streams:
        for stream in list(streams):
            one = next(stream, None)
            if one is None:
                streams.remove(stream)
            else:
                yield one


def _variations_of(call: Call, values: Values) -> Iterator[Call]:
    rows = [[(at, near) for near in values.near(arg.source)] for at, arg in enumerate(call.args)]
    for step in itertools.zip_longest(*rows):
        for change in filter(None, step):
            at, source = change
            args = list(call.args)
            args[at] = Arg(args[at].name, source)
            yield msgspec.structs.replace(call, args=tuple(args))


def _without_stalls(calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]]) -> list[Call]:
    """The calls but for those after the first that one version does not end."""
    stalls = [call.id for call in calls if any(one.kind in ("timeout", "died") for one in seen[call.id])]
    return [call for call in calls if call.id not in stalls[1:]]


def _stable(calls: Sequence[Call], seen: dict[int, tuple[Outcome, Outcome]], pair: _Pair) -> list[Call]:
    """The calls of which both versions do the same again, backwards, under another hash seed and with more time."""
    again = pair.run(calls[::-1], 4.0)
    return [
        call
        for call in calls
        if call.id in again
        and all(one.same(other) for one, other in zip(seen[call.id], again[call.id], strict=True))
    ]


def _shrunk(call: Call, seen: tuple[Outcome, Outcome], first: _Pair, second: _Pair, end: float) -> Difference:
    """The smallest call found that tells the versions apart in the same way."""
    best, outcome = call, seen
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
        better = _stable(better[:6], results, second)
        if not better:
            break
        best = min(better, key=size)
        outcome = results[best.id]
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
