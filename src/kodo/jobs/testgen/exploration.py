"""Rounds of trials, each made from what the last ones reached: uses of results, the package's functions, and neighbours.

As coverage-guided fuzzers do, a call that ran a new arc is kept and varied, with the words of the code beside the lines
that did not run. Bounded by numbers of calls, so that two runs do the same.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kodo.jobs.execution.call_names import CallNames
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.follow_ups import follow_ups
from kodo.jobs.execution.model import Call, Entered
from kodo.jobs.execution.reached_code import dispatched_words
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.execution.values import Values
from kodo.jobs.testgen.calls_of_mutants import size, spread
from kodo.jobs.testgen.fed_results import fed
from kodo.jobs.testgen.near_calls import key
from kodo.jobs.testgen.package_calls import PackageCalls
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.select import Arc, choose
from kodo.jobs.testgen.trials import Trials

_MAX_ROUNDS = 12
"""Rounds of neighbours at most; so many as are asked for, one after the other, without a new arc are the last."""
_MAX_CALLS = 2500
"""Calls of one round."""
_FOLLOWED, _FOLLOW_UPS, _DEPTH = 6, 5, 2
"""Results of one function that are used, calls of each use, and how often the result of a use is used again."""
_MAX_NEIGHBOURS = 90
_MAX_FED, _MAKER_SECONDS = 800, 3.0
"""Calls with results of others, and the time for the package's functions that make some."""
_ENTERED = 40
"""Rows of arguments of one function that are tried of those it was given inside calls."""


@dataclass(frozen=True, slots=True)
class CallExploration:
    """Finds calls for the functions of a pipeline; ``shown`` are the calls that documents show."""

    pipeline: Pipeline
    generator: CandidateGenerator
    package: PackageCalls
    shown: Sequence[Call]

    def run(self) -> Trials:
        """All the trials: of the functions themselves, of what is shown, of the package's functions, and the rounds."""
        options, inputs = self.pipeline.options, self.pipeline.inputs
        calls = [call for one in self.pipeline.functions for call in self.generator.calls(one, inputs)]
        trials = self.pipeline.attempt([*calls, *self.generator.from_cases(self.shown)])
        trials = self._follow(trials)
        is_left = bool(open_functions(self._functions, _arcs(trials)))
        if is_left and self.pipeline.may_begin("calls of the package's other functions"):
            trials = trials.joined(self._of_package())
            trials = self._entered(trials)
        if is_left and self.pipeline.may_begin("calls with the results of others"):
            trials = trials.joined(self._fed(trials))
        left = options.rounds if is_left else 0
        for _ in range(_MAX_ROUNDS if is_left else 0):
            if not (left and self.pipeline.may_begin("calls near those that reached something new")):
                break
            near = self._near(trials)
            if not near:
                break
            known = len(_arcs(trials))
            trials = trials.joined(self.pipeline.attempt(near))
            left = options.rounds if len(_arcs(trials)) > known else left - 1
        return trials

    def _words(self, function: Function) -> tuple[object, ...]:
        module = self.pipeline.worker.module
        return (*constants(module, function), *dispatched_words(module, function))

    @property
    def _functions(self) -> Mapping[str, Function]:
        return self.pipeline.worker.module.every_function

    def _follow(self, trials: Trials) -> Trials:
        """The trials with calls of what calls returned, and of what those returned."""
        last: Iterable[Call] = trials.calls
        for _ in range(_DEPTH if self.pipeline.may_begin("uses of results") else 0):
            found: dict[str, list[Call]] = {}
            useful = [call for call in last if (seen := trials.seen.get(call.id)) is not None and seen.uses]
            for call in spread(useful, trials.seen):
                if len(found.setdefault(call.function, [])) < _FOLLOWED:
                    found[call.function].append(call)
            rng = random.Random(f"{self.pipeline.options.seed}:follow")  # noqa: S311 - test inputs
            values = Values(rng, self.pipeline.worker.module.constructible)
            calls = [
                use
                for call in (one for group in found.values() for one in group)
                for use in follow_ups(call, trials.seen[call.id].uses, values, _FOLLOW_UPS)
            ]
            if not calls:
                break
            more = self.pipeline.attempt(self.generator.from_cases(calls))
            last, trials = more.calls, trials.joined(more)
        return trials

    def _of_package(self) -> Trials:
        """Trials of the functions elsewhere in the package that reach the module, found by a few calls of each."""
        entries = self.package.entries()
        probes = self.pipeline.attempt(self.generator.from_cases(self.package.probes(entries)))
        reaching = {call.function for call in probes.usable if probes.seen[call.id].arcs}
        chosen = [one for one in entries if one.name in reaching]
        count = min(self.pipeline.inputs // 2, _MAX_CALLS // max(1, len(chosen)))
        calls = self.generator.from_cases(self.package.calls(chosen, count))
        return probes.joined(self.pipeline.attempt(calls)) if calls else probes

    def _fed(self, trials: Trials) -> Trials:
        """Trials of the functions that are open with what the others, and those of the package, gave."""
        known = {key(call) for call in trials.calls}
        left = open_functions(self._functions, _arcs(trials))
        names = [name for name in self.pipeline.names if name in left]
        names_apart = CallNames(self.pipeline.worker.module)
        made = self.generator.from_cases(replace(self.package, names=names_apart).makers())
        seen = trials.seen | self.pipeline.observe_apart(made, names_apart.imported, _MAKER_SECONDS)
        usable = (*trials.usable, *(call for call in made if call.id in seen))
        calls = [call for call in fed(names, usable, seen) if key(call) not in known]
        calls = calls[:: max(1, -(-len(calls) // _MAX_FED))]
        return self.pipeline.attempt(self.generator.from_cases(calls))

    def _entered(self, trials: Trials) -> Trials:
        """The trials with calls of what functions were given inside calls, and of what these give on."""
        known: set[Entered] = set()
        last = trials
        for _ in range(_DEPTH):
            rows: dict[str, dict[Entered, None]] = {}
            for call in last.usable:
                for row in last.seen[call.id].entered:
                    if row not in known:
                        rows.setdefault(row.function, {})[row] = None
            calls: list[Call] = []
            for name, found in rows.items():
                chosen = list(found)[:: max(1, len(found) // _ENTERED)][:_ENTERED]
                known.update(chosen)
                calls += self.generator.from_entered(self._functions[name], chosen)
            if not calls:
                break
            last = self.pipeline.attempt(calls[:_MAX_CALLS])
            trials = trials.joined(last)
        return trials

    def _near(self, trials: Trials) -> list[Call]:
        """Neighbours of the calls that reached something, for the functions with something left."""
        arcs = {call.id: frozenset(trials.seen[call.id].arcs) for call in trials.usable}
        reached = [
            one.call
            for one in choose(sorted(trials.usable, key=size), arcs, {})
            if one.call.args or one.call.receiver
        ]
        each = self.pipeline.inputs // 2
        shares: dict[int, int] = {}
        words: dict[int, list[object]] = {}
        for name, function in open_functions(self._functions, _arcs(trials)).items():
            lines = _body_lines(function)
            seeds = [one for one in reached if one.function == name] or [
                one for one in reached if lines & trials.lines[one.id]
            ]
            for call in seeds:
                shares[call.id] = shares.get(call.id, 0) + max(4, each // len(seeds))
                words.setdefault(call.id, []).extend(self._words(function))
        out: list[Call] = []
        for call in reached:
            if share := min(shares.get(call.id, 0), _MAX_NEIGHBOURS):
                near = self.generator.neighbours(
                    self._functions.get(call.function), call, share, words[call.id]
                )
                out += near
        return out[:_MAX_CALLS]


def open_functions(functions: Mapping[str, Function], arcs: frozenset[Arc]) -> dict[str, Function]:
    """The functions with a statement that did not run, or a branch that always went one way."""
    ran = {line for arc in arcs for line in arc}
    after: dict[int, set[int]] = {}
    for line, following in arcs:
        after.setdefault(line, set()).add(following)
    return {
        name: one
        for name, one in functions.items()
        if any(line not in ran for line in _body_lines(one))
        or any(len(after.get(line, ())) < 2 for line in _branch_lines(one))
    }


def _arcs(trials: Trials) -> frozenset[Arc]:
    return frozenset().union(*(trials.seen[call.id].arcs for call in trials.usable))


def _statements(function: Function) -> Iterable[ast.stmt]:
    body = function.node.body[1:] if function.doc else function.node.body
    return (node for statement in body for node in ast.walk(statement) if isinstance(node, ast.stmt))


def _body_lines(function: Function) -> frozenset[int]:
    """The lines of the statements of a function, but that of its docstring."""
    return frozenset(node.lineno for node in _statements(function))


def _branch_lines(function: Function) -> frozenset[int]:
    """The lines of the statements that go one way or another."""
    return frozenset(
        node.lineno for node in _statements(function) if isinstance(node, ast.If | ast.While | ast.For)
    )
