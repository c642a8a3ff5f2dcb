"""Calls of the package's other public functions that stand on the module under test: they reach what no call reaches directly.

A visitor is reached through the function that parses and visits, a renderer through the one that renders. Which functions
reach the module is found by a few calls of each; only those are called more often.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from kodo.jobs.execution.call_names import CallNames, names_in
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.package import PackageSurvey
from kodo.jobs.execution.stated_facts import documented_instances
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.values import Values

_MAX_FUNCTIONS = 60
_PROBES = 8
_MAX_MAKERS, _OF_MAKER = 12, 80
"""Functions beside the module whose results are given on, and calls of each."""
_SUBCLASSES, _WAYS = 3, 4


@dataclass(frozen=True, slots=True)
class EntryFunction:
    """A public function of another module of the package, and what makes its calls."""

    module: TargetModule
    function: Function
    generator: CandidateGenerator

    @property
    def name(self) -> str:
        """By which its calls are counted: with the module, as another one may have a function of this name."""
        return f"{self.module.name}.{self.function.qualname}"


@dataclass(frozen=True, slots=True)
class PackageCalls:
    """Makes the calls; every name in them is one that a test can import."""

    package: PackageSurvey
    names: CallNames
    seed: int

    def entries(self) -> tuple[EntryFunction, ...]:
        """The functions that may reach the module: those of the modules that stand on it, the nearest first."""
        out: list[EntryFunction] = []
        for user in self.package.users:
            generator = CandidateGenerator(user, self.seed, deep=True)
            out += [
                EntryFunction(user, one, generator)
                for one in user.functions
                if one.name != "__init__" or not one.owner
            ]
        return tuple(out[:_MAX_FUNCTIONS])

    def makers(self) -> list[Call]:
        """Calls of public functions that stand beside the module and not on it: what they give may be what its functions take."""
        users = {one.name for one in self.package.users}
        folder = self.package.module.path.parent
        beside = [one for one in self.package.others if one.name not in users and one.path.parent == folder]
        entries = [
            EntryFunction(module, function, CandidateGenerator(module, self.seed, deep=True))
            for module in beside
            for function in module.functions
            if function.kind == "function"
        ]
        return self.calls(entries[:_MAX_MAKERS], _OF_MAKER)

    def probes(self, entries: Iterable[EntryFunction]) -> list[Call]:
        """A few calls of each function, of different kinds."""
        out: list[Call] = []
        for entry in entries:
            calls = self._calls(entry, _PROBES)
            out += calls[:: max(1, len(calls) // _PROBES)][:_PROBES]
        return out

    def calls(self, entries: Iterable[EntryFunction], count: int) -> list[Call]:
        """At most about ``count`` calls of each function."""
        return [call for entry in entries for call in self._calls(entry, count)[:count]]

    def _calls(self, entry: EntryFunction, count: int) -> list[Call]:
        made = (
            msgspec.structs.replace(call, function=entry.name, origin="package", expect=None)
            for call in entry.generator.calls(entry.function, count)
        )
        return [call for call in made if self.is_named(call, entry.module)]

    def is_named(self, call: Call, module: TargetModule) -> bool:
        """Whether a test can import what a call names, each under its own name."""
        sources = (call.expression, *call.setup, *(arg.source for arg in call.args))
        for name in sorted(names_in(sources) & {*module.defined, *module.imported}):
            origin = module.imported.get(name, module.name) if name not in module.defined else module.name
            if name.startswith("_") or self.names.resolve(origin, name) != name:
                return False
        return True

    def instances(self) -> dict[str, tuple[str, ...]]:
        """Class of the module -> ways to make an instance of a class of the package that derives from it."""
        modules = {one.name: one for one in self.package.users}
        out: dict[str, tuple[str, ...]] = {}
        for base, found in self.package.subclasses.items():
            sources: list[str] = []
            for name, origin in found[:_SUBCLASSES]:
                sources += self._documented(modules[origin], name)
                sources += self.ways(modules[origin], name)
            out[base] = tuple(sources)
        return out

    def _documented(self, module: TargetModule, name: str) -> Sequence[str]:
        """The calls that make an instance in the documentation of its module."""
        calls = [Call(0, name, source) for source in documented_instances(module).get(name, ())]
        return [call.expression for call in calls if self.is_named(call, module)][:_WAYS]

    def ways(self, module: TargetModule, name: str) -> Sequence[str]:
        """Calls of a class of another module of the package."""
        rng = random.Random(f"{self.seed}:{module.name}.{name}")  # noqa: S311 - test inputs
        values = Values(rng, module.constructible)
        sources = [values.instance(name, 0, plain=at == 0) for at in range(_WAYS)]
        calls = [Call(0, name, source) for source in dict.fromkeys(sources) if source != "None"]
        return [call.expression for call in calls if self.is_named(call, module)]


def reached(calls: Iterable[Call], arcs: dict[int, bool]) -> frozenset[str]:
    """The functions of which a call reached the module; ``arcs`` says so of each call by its number."""
    return frozenset(call.function for call in calls if arcs.get(call.id))
