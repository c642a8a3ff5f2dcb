"""Compare two versions of a module: the calls that do something else, each made sure of and made smaller.

A difference counts when both versions do the same again in another order and under another hash seed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.difference import Difference, rank, tells
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.side import Batch
from kodo.jobs.execution.worker.smaller import smaller_calls

_MAX_DIFFERENCES = 12
_SHRUNK = 3
_MAX_SHRINK_ROUNDS = 12
_SHRINK_WIDTH = 40


class Compare(msgspec.Struct, frozen=True, tag=True):
    """Compare two versions, each a folder below the project; ``groups`` are functions with their calls."""

    before: ModuleLocation
    after: ModuleLocation
    groups: tuple[tuple[str, tuple[Call, ...]], ...]
    seconds: float
    budget: float


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

    def send(self, calls: Sequence[Call], seconds: float) -> None:
        """Begin a batch; ``receive`` gives its answers."""
        if not self._open:
            self._ready()
        pipe = self._pipe(self._process.stdin)
        pipe.write(msgspec.json.encode(Batch(tuple(calls), seconds)) + b"\n")
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

    def run(self, calls: Sequence[Call], factor: float = 1.0) -> dict[int, tuple[Outcome, Outcome]]:
        """Both outcomes of each call; both versions work at the same time."""
        for side in self.sides:
            side.send(calls, self._seconds * factor)
        before, after = (side.receive() for side in self.sides)
        return {number: (before[number], after[number]) for number in before.keys() & after.keys()}


def run_compare(job: Compare) -> Iterator[CompareAnswer]:
    """Compare function after function until the budget is used."""
    end = time.monotonic() + job.budget
    try:
        first = _Pair(job, 1)
        second: _Pair | None = None
        for at, (function, calls) in enumerate(job.groups):
            if time.monotonic() > end:
                yield Exhausted(tuple(name for name, _ in job.groups[at:]))
                return
            seen = first.run(calls)
            candidates = [call for call in calls if call.id in seen and tells(*seen[call.id])]
            candidates.sort(key=lambda call: (rank(*seen[call.id]), size(call)))
            found: list[Difference] = []
            stable: list[Call] = []
            chosen: list[Call] = []
            if candidates:
                second = second or _Pair(job, 2)
                chosen = _without_stalls(candidates, seen)[:_MAX_DIFFERENCES]
                stable = _stable(chosen, seen, second)
                found = [_shrunk(call, seen[call.id], first, second, end) for call in stable[:_SHRUNK]]
                found += [Difference(call, *seen[call.id], call) for call in stable[_SHRUNK:]]
            ran = [pair for pair in seen.values() if all(one.kind != "unusable" for one in pair)]
            yield Compared(
                function,
                len(ran),
                len(chosen) - len(stable),
                tuple(found),
                _reason(seen.values()),
            )
    except SideFailed as error:
        yield Failed(str(error))


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
