"""More trials for the mutants that no call kills: neighbours of the calls that run the changed line.

A call that reaches a change and does not show it is often one small step away from one that does: one item more, the text
of the comparison, the other side of a boundary. Bounded by numbers of calls, so that two runs do the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.testgen.calls_of_mutants import spread
from kodo.jobs.testgen.model import MutantPlace
from kodo.jobs.testgen.pipeline import Pipeline, Trials

Kills = dict[int, frozenset[int]]

_ROUNDS = 2
_SEEDS, _NEIGHBOURS = 6, 14
"""Calls of one line that are varied, and how many neighbours of each are tried."""
_MAX_CALLS = 900
"""Calls of one round."""


@dataclass(frozen=True, slots=True)
class SurvivorSearch:
    """Finds calls for the mutants of a pipeline that are left."""

    pipeline: Pipeline
    generator: CandidateGenerator

    def run(self, trials: Trials, kills: Kills) -> tuple[Trials, Kills]:
        """The trials and kills with those that the search added; ends with a round that kills nothing new."""
        for _ in range(_ROUNDS):
            if not self.pipeline.may_begin("calls for the mutants that are left"):
                break
            left = self._left(kills)
            calls = list(self._near(left, trials))[:_MAX_CALLS]
            if not calls:
                break
            found = self.pipeline.attempt(calls)
            more = self.pipeline.kills(found, frozenset(place.id for place in left))
            trials, kills = trials.joined(found), kills | more
            if not more:
                break
        return trials, kills

    def _left(self, kills: Mapping[int, frozenset[int]]) -> list[MutantPlace]:
        killed = frozenset[int]().union(*kills.values())
        return [place for place in self.pipeline.places if place.id not in killed]

    def _near(self, left: list[MutantPlace], trials: Trials) -> Iterator[Call]:
        """Neighbours of calls that differ most, for each line with a mutant left; no call is varied twice."""
        functions = self.pipeline.worker.module.every_function
        lines: dict[tuple[str, int], list[str]] = {}
        for place in left:
            lines.setdefault((place.function, place.line), []).append(place.change)
        varied: set[int] = set()
        for (name, line), changes in lines.items():
            reaching = [
                call
                for call in trials.usable
                if line in trials.lines[call.id] and (call.args or call.receiver) and call.id not in varied
            ]
            own = [call for call in reaching if call.function == name]
            words = [word for change in changes for word in _words(change)]
            function = functions.get(name)
            if function is not None:
                words += constants(self.pipeline.worker.module, function)
            for call in spread(own or reaching, trials.seen)[:_SEEDS]:
                varied.add(call.id)
                yield from self.generator.neighbours(functions.get(call.function), call, _NEIGHBOURS, words)


def _words(change: str) -> Iterator[object]:
    """The literals in the words of a change."""
    for text in re.findall(r"b?'[^']*'|(?<![\w.])-?\d+(?:\.\d+)?", change):
        try:
            yield ast.literal_eval(text)
        except (ValueError, SyntaxError):
            continue
