"""Compare two versions of a module: whose calls are made next, as long as there is time.

Values of the module, changed functions, calls out of tests, callers, variations, and the calls that what these showed leads to (a
statement at which one version stopped, public calls with the values of private ones) take turns, each with a part of the time; what one
has no use for is the others', and nothing that there was no time for in a turn is given up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.both_versions import BothVersions, Compared
from kodo.jobs.execution.worker.function_calls import FunctionCalls
from kodo.jobs.execution.worker.handover import Incoming
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.next_calls import About
from kodo.jobs.execution.worker.test_calls import TestCalls
from kodo.jobs.execution.worker.turns import Turns
from kodo.jobs.execution.worker.varied_calls import VariedCalls
from kodo.jobs.execution.worker.version_pair import SideFailed

_VALUES, _CHANGED, _CALLERS, _VARIED, _LED_TO = "values", "changed", "callers", "varied", "led to"
_PARTS = {_VALUES: 0.1, _CHANGED: 0.3, _CALLERS: 0.1, _VARIED: 0.15, _LED_TO: 0.1}
_PART_OF_TESTS = 0.12
"""The parts of the time: calls out of tests have one for each source."""
_TURN = 0.05, 0.5
"""The part of the budget that a turn is, and the seconds that it is at least."""
_JUDGED_AT = 0.5, 0.8
"""The parts of the budget after which weak differences are made sure of, while there is time for that."""
_WAITED = 0.3
"""The part of the budget in which the search does not end for want of anything new, as long as calls out of tests may come."""
_POLL_SECONDS = 0.02
_GATHER_SECONDS = 0.2
"""The calls out of tests that come in this time are made together, since a batch costs more than a call."""


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
    elsewhere: tuple[str, ...] = ()
    """Changed values that no function of the module reads: calls out of tests may show them."""
    later: tuple[str, ...] = ()
    """Files beside the versions that grow while the comparison runs: each is handed more ``tests`` (``Incoming``)."""
    rest: str = ""
    """A file beside the versions that grows too, with more ``groups``; "" for none."""
    callers: tuple[str, ...] = ()
    """The functions that lead to the changed ones."""


class Exhausted(msgspec.Struct, frozen=True, tag=True):
    """The budget ran out before all of the calls of these functions were made."""

    functions: tuple[str, ...]


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The last answer: the comparison came to its end. Without it the worker was ended from outside. ``is_dry``: it did so since calls had
    done nothing new for long.
    """

    is_dry: bool = False


CompareAnswer = Compared | Exhausted | Failed | Finished


class _Calls(Protocol):
    """Calls of one kind to make: some that are promising are ready, others are left for when no kind has such."""

    def is_ready(self) -> bool: ...

    def is_left(self) -> bool: ...

    def turn(self, until: float) -> Iterator[Compared]: ...

    def rest(self) -> Iterator[Compared]: ...


def run_compare(job: Compare) -> Iterator[CompareAnswer]:
    """Make the calls of every kind in turns, until there is no time, every changed function is shown to differ, or nothing is left;
    a function that is shown to differ is not looked at further.
    """
    try:
        comparison = _Comparison(job)
        yield from comparison.run()
        if left := comparison.left():
            yield Exhausted(left)
        yield Finished(comparison.is_dry)
    except SideFailed as error:
        yield Failed(str(error))


class _Comparison:
    """The kinds of calls of one job, and what still comes."""

    def __init__(self, job: Compare) -> None:
        self._job = job
        self._both = both = BothVersions(
            job.before, job.after, job.seconds, job.until, job.roots, job.about, job.elsewhere
        )
        self._changed, self._values = FunctionCalls(both), FunctionCalls(both)
        self._callers = FunctionCalls(both, must_arrive=bool(job.roots))
        self._varied = VariedCalls(both, job.about, (*job.roots, *job.callers))
        self._tests: dict[str, TestCalls] = {}
        self._turns: Turns[str] = Turns(lambda kind: _PARTS.get(kind, _PART_OF_TESTS))
        self._incoming = Incoming[Call](_folder(), job.later)
        self._groups = Incoming[Group](_folder(), (job.rest,) if job.rest else (), Group)
        self._led_to = TestCalls(both)
        self._looked = 0.0
        self._was_complete = False
        self.is_dry = False
        for name, calls in job.values:
            self._values.put(name, calls)
        for name, calls in job.groups:
            self._put(name, calls)
        if job.tests:
            self._read_tests("", job.tests)

    def run(self) -> Iterator[Compared]:
        """Take turns; then judge what was not judged yet."""
        turn = max(_TURN[0] * self._both.budget, _TURN[1])
        due = [self._job.until - (1 - part) * self._both.budget for part in _JUDGED_AT]
        while not self._both.is_enough():
            self._receive()
            kinds = self._kinds()
            ready = [name for name, calls in kinds.items() if calls.is_ready()]
            ready = ready or [name for name, calls in kinds.items() if calls.is_left()]
            if due and time.monotonic() > due[0]:
                del due[0]
                for calls in kinds.values():
                    yield from calls.rest()
            elif self._has_run_dry():
                self.is_dry = True
                break
            elif ready:
                kind = self._turns.next(ready)
                with self._turns.measured(kind):
                    yield from kinds[kind].turn(min(time.monotonic() + turn, self._job.until))
                self._led_to.put([*self._both.stopped.taken(), *self._both.carried()])
            elif self._is_complete():
                break
            else:
                time.sleep(_POLL_SECONDS)
        self._both.only_counts = self._both.all_shown()
        for calls in self._kinds().values():
            yield from calls.rest()

    def _has_run_dry(self) -> bool:
        """Whether nothing more is to be expected: of made-up calls, of those out of tests, for which it waits a while, and of values."""
        both = self._both
        has_waited = self._is_complete() or time.monotonic() > self._job.until - (1 - _WAITED) * both.budget
        if not (has_waited and self._groups.ended and both.all_dry()):
            return False
        waiting: tuple[_Calls, ...] = (self._values, self._led_to, *self._tests.values())
        return both.unreached().isdisjoint(self._changed.left()) and not any(
            calls.is_ready() for calls in waiting
        )

    def left(self) -> tuple[str, ...]:
        """The functions that there was no time for, or not for all of their calls, and that nothing showed."""
        if self.is_dry or self._both.all_shown():
            return ()
        self._receive_groups()
        left = (*self._changed.left(), *self._callers.left(), *self._values.left())
        return tuple(dict.fromkeys(name for name in left if name not in self._both.shown))

    def _kinds(self) -> dict[str, _Calls]:
        return {
            _VALUES: self._values,
            _CHANGED: self._changed,
            **self._tests,
            _CALLERS: self._callers,
            _VARIED: self._varied,
            _LED_TO: self._led_to,
        }

    def _is_complete(self) -> bool:
        """Whether nothing more will come."""
        return self._incoming.ended and self._groups.ended

    def _receive(self) -> None:
        """Take what has come since the last time."""
        if time.monotonic() < self._looked + _GATHER_SECONDS or self._was_complete:
            return
        self._looked = time.monotonic()
        self._receive_groups()
        for source, tests in self._incoming.read():
            self._read_tests(f"tests: {source}", tests)
        self._was_complete = self._is_complete()
        if self._was_complete:
            self._varied.begin_anew()

    def _receive_groups(self) -> None:
        for _, groups in self._groups.read():
            for name, calls in groups:
                self._put(name, calls)

    def _put(self, name: str, calls: tuple[Call, ...]) -> None:
        is_changed = name in self._job.roots or not self._job.roots
        (self._changed if is_changed else self._callers).put(name, calls)

    def _read_tests(self, source: str, calls: Iterable[Call]) -> None:
        tests = self._tests.setdefault(source, TestCalls(self._both))
        self._varied.read(tests.put(list(calls)))


def _folder() -> Path:
    """Where the versions are, and what is handed over while the comparison runs."""
    return Path(os.environ["KODO_PROJECT"])
