"""The calls that are worth varying: each goes through a changed function on a way that no earlier one took.

Those that run lines which the change touched are known from the others. Knows neither how calls are made nor varied.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from kodo.jobs.execution.call_literals import opened
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.coverage import Coverage
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.variation import Variations

Two = tuple[Outcome, Outcome]
"""What a call does in the version before, and in the one after."""
Lines = tuple[tuple[int, ...], tuple[int, ...]]
"""Lines of the version before, and of the one after."""
_MAX_SEEDS = 200
_MAX_VARIATIONS = 6000
_TOGETHER = 60
_NEWEST_FIRST = 4
_NEAR_SHARE = 0.85
"""Of the variations, those of calls that run what the change touched, where there are such."""


def through(pair: Two) -> frozenset[str]:
    """The functions asked for that a call went through in one of the versions."""
    return frozenset(name for one in pair for name in one.reached)


class Seeds:
    """Gathers seeds of one changed function, whose ``touched`` lines are those before the change and those after it."""

    def __init__(self, function: str, touched: Lines = ((), ())) -> None:
        self.function = function
        self.calls: list[Call] = []
        self.near: list[Call] = []
        self._touched = tuple(map(frozenset, touched))
        self.coverage = Coverage(is_sought=any(self._touched))
        self._ways: set[tuple[tuple[tuple[str, ...], str], tuple[int, ...]]] = set()
        self.lines: set[tuple[int, ...]] = set()
        """The ways that were taken, whichever program took them."""

    def keep(self, calls: Iterable[Call], seen: Mapping[int, Two]) -> None:
        """Remember the calls that took a new way.

        A test's objects are worth more than made-up ones on the same lines, so each of its programs counts by itself.
        """
        for call in calls:
            pair = seen.get(call.id)
            if pair is None or self.function not in through(pair):
                continue
            is_near = self.touches(pair)
            self.coverage.add(pair, is_near=is_near)
            if not all(map(_is_whole, pair)):
                continue
            program = (call.setup, call.expression) if call.origin == "test" else ((), "")
            lines = tuple(line for one in pair for line in (*one.lines, 0))
            self.lines.add(lines)
            way = program, lines
            if way in self._ways or (len(self.calls) >= _MAX_SEEDS and not is_near):
                continue
            self._ways.add(way)
            kept = call if call.origin == "test" else opened(call)
            self.calls.append(kept)
            if is_near:
                self.near.append(kept)

    def touches(self, pair: Two) -> bool:
        """Whether a call runs lines of the function that the change touched, in one of the versions."""
        return any(not lines.isdisjoint(one.lines) for lines, one in zip(self._touched, pair, strict=True))

    def choose(self, rng: random.Random) -> Call:
        """Mostly one of those that run what the change touched, and of them the newest, which went where no other did."""
        calls = self.near if self.near and rng.random() < _NEAR_SHARE else self.calls
        at = int(rng.expovariate(_NEWEST_FIRST / (len(calls) + 1)))
        return calls[-1 - min(len(calls) - 1, at)]


def _is_whole(outcome: Outcome) -> bool:
    """Whether the call came to its own end. One whose arguments do not fit got through by the statements before it alone."""
    return outcome.kind in ("value", "raises") and not outcome.unbound


class Exploration:
    """The variations of the seeds of one changed function, which grow while calls find new ways."""

    def __init__(self, seeds: Seeds, vary: Variations) -> None:
        self._seeds = seeds
        self._vary = vary
        self._rng = random.Random(0)  # noqa: S311 - test inputs
        self._made: set[tuple[tuple[str, ...], str, tuple[Arg, ...]]] = set()

    def batch(self, number: int) -> list[Call]:
        """The next calls, numbered from one above ``number``; none when nothing new is found or it is enough."""
        out: list[Call] = []
        for _ in range(_TOGETHER * 2):
            if len(out) >= _TOGETHER or len(self._made) >= _MAX_VARIATIONS:
                break
            one = self._vary.one(self._seeds.choose(self._rng), number + 1 + len(out))
            if one is not None and (key := (one.setup, one.expression, one.args)) not in self._made:
                self._made.add(key)
                out.append(one)
        return out

    def learn(self, batch: Sequence[Call], seen: Mapping[int, Two]) -> None:
        """Keep in mind which changes still led to the function."""
        function = self._seeds.function
        arrived = {call.id for call in batch if call.id in seen and function in through(seen[call.id])}
        self._vary.learn(batch, arrived)
