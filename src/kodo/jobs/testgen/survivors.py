"""More trials for the mutants that no call kills: calls near those that run the changed line.

A call that reaches a change and does not show it is often one small step away from one that does: one item more, the text
of the comparison, the other side of a boundary, an argument of another call. Bounded by numbers of calls, so that two runs
do the same.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.definitions import is_private
from kodo.jobs.execution.model import Call, Observed
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.operands import Sides
from kodo.jobs.testgen.calls_of_mutants import spread
from kodo.jobs.testgen.model import MutantPlace
from kodo.jobs.testgen.near_calls import Key, crossed, key, with_operands
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.queries import queried
from kodo.jobs.testgen.trials import Trials

Kills = dict[int, frozenset[int]]

_ROUNDS = 6
_SEEDS = 6
"""Calls of one line that are varied in one round."""
_NEIGHBOURS, _MATCHED, _CROSSED, _QUERIES = 14, 14, 10, 16
"""Of each of them, how many neighbours, calls with what was compared, calls with arguments of others, and queries after it are tried."""
_MAX_CALLS = 1500
"""Calls of one round."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with mutants left, or the last one that is run before it: the literals in the words of the changes, and the calls to vary, which run it."""

    function: str
    number: int
    words: tuple[object, ...]
    seeds: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class SurvivorSearch:
    """Finds calls for the mutants of a pipeline that are left."""

    pipeline: Pipeline
    generator: CandidateGenerator

    def run(self, trials: Trials, kills: Kills) -> tuple[Trials, Kills]:
        """The trials and kills with those that the search added; ends with the second round that kills and reaches nothing new."""
        if self.pipeline.may_begin("more calls for each mutant"):
            kills = _joined(kills, self.pipeline.kills(trials, self._ids(kills), more=True))
        tried = {key(call) for call in trials.calls}
        in_vain = 0
        for number in range(_ROUNDS):
            if in_vain > 1 or not self.pipeline.may_begin("calls for the mutants that are left"):
                break
            lines = self._lines(self._left(kills), trials, number)
            calls = self._calls(lines, trials, tried) if lines else []
            if not calls:
                break
            found = self.pipeline.attempt(self.generator.from_cases(calls))
            more = self.pipeline.kills(found, self._ids(kills))
            reached = trials.ran
            trials, kills = trials.joined(found), _joined(kills, more)
            in_vain += not more and trials.ran == reached
        return trials, kills

    def _ids(self, kills: Mapping[int, frozenset[int]]) -> frozenset[int]:
        return frozenset(place.id for place in self._left(kills))

    def _left(self, kills: Mapping[int, frozenset[int]]) -> list[MutantPlace]:
        killed = frozenset[int]().union(*kills.values())
        return [place for place in self.pipeline.places if place.id not in killed]

    def _lines(self, left: list[MutantPlace], trials: Trials, number: int) -> list[_Line]:
        """The lines with a mutant left, each with calls that differ most, of which each round takes the next."""
        changes: dict[tuple[str, int], list[str]] = {}
        for place in left:
            changes.setdefault((place.function, place.line), []).append(place.change)
        out: list[_Line] = []
        callers: dict[int, list[Call]] = {}
        for call in trials.usable:
            for line in trials.lines[call.id] if call.args or call.receiver else ():
                callers.setdefault(line, []).append(call)
        for (name, changed), texts in changes.items():
            line = self._reached(name, changed, callers)
            reaching = callers.get(line, [])
            own = [call for call in reaching if call.function == name]
            seeds = spread(own or reaching, trials.seen)
            chosen = seeds[number * _SEEDS :][:_SEEDS] or seeds[:_SEEDS]
            if chosen:
                words = tuple(dict.fromkeys(word for text in texts for word in _words(text)))
                out.append(_Line(name, line, words, tuple(chosen)))
        return out

    def _reached(self, name: str, line: int, callers: Mapping[int, list[Call]]) -> int:
        """The line, or where no call runs it the last one of its function before it that some call runs: there they turn away."""
        function = self.pipeline.worker.module.every_function.get(name)
        first = function.line if function is not None else line
        return next((one for one in range(line, first, -1) if one in callers), line)

    def _calls(self, lines: list[_Line], trials: Trials, tried: set[Key]) -> list[Call]:
        """New calls for each line in turn, which ``tried`` has from then on."""
        seeds = {call.id: call for line in lines for call in line.seeds}
        helpers = {
            name for name in self.pipeline.worker.module.every_function if is_private(name.rpartition(".")[2])
        }
        compared = self.pipeline.compared(
            list(seeds.values()), sorted({line.function for line in lines} | helpers)
        )
        others: dict[str, list[Call]] = {}
        for name in {call.function for call in seeds.values()}:
            others[name] = spread((call for call in trials.usable if call.function == name), trials.seen)
        out: list[Call] = []
        for one in _in_turn(way for line in lines for way in self._ways(line, compared, others, trials.seen)):
            if key(one) not in tried:
                tried.add(key(one))
                out.append(one)
            if len(out) >= _MAX_CALLS:
                break
        return out

    def _ways(
        self,
        line: _Line,
        compared: Mapping[int, tuple[Sides, ...]],
        others: Mapping[str, list[Call]],
        seen: Mapping[int, Observed],
    ) -> Iterator[Iterator[Call]]:
        """For each call to vary on a line, what is made of it in each of the ways."""
        for call in line.seeds:
            rng = random.Random(f"{self.pipeline.options.seed}:{call.id}:{line.number}")  # noqa: S311 - test inputs
            matching = with_operands(call, compared.get(call.id, ()), line.number)
            queries = queried(call, seen[call.id], self.pipeline.worker.module)
            yield islice(matching, _MATCHED)
            yield islice(queries, _QUERIES)
            yield islice(crossed(call, others[call.function], rng), _CROSSED)
            yield self._neighbours(line, call)

    def _neighbours(self, line: _Line, call: Call) -> Iterator[Call]:
        module = self.pipeline.worker.module
        function = module.every_function.get(line.function)
        words = [*line.words, *(constants(module, function) if function is not None else ())]
        called = module.every_function.get(call.function)
        yield from self.generator.neighbours(called, call, _NEIGHBOURS, words)


def _joined(kills: Kills, more: Kills) -> Kills:
    return {
        call: kills.get(call, frozenset()) | more.get(call, frozenset())
        for call in kills.keys() | more.keys()
    }


def _in_turn(rows: Iterable[Iterator[Call]]) -> Iterator[Call]:
    """The first of each, then the second of each, and so on."""
    left = deque(rows)
    while left:
        row = left.popleft()
        for one in islice(row, 1):
            yield one
            left.append(row)


def _words(change: str) -> Iterator[object]:
    """The literals in the words of a change."""
    for text in re.findall(r"b?'[^']*'|(?<![\w.])-?\d+(?:\.\d+)?", change):
        try:
            yield literal_value(text)
        except NoLiteral:
            continue
