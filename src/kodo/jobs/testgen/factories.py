"""Ways to make an instance that are no call of its class: class methods, and functions of the package that return one.

What a parser of the package returns is what its other functions are given. Which of the calls give an instance, the sandbox
says; each is then used as a constructor is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from kodo.jobs.execution.calls import filled, in_one, is_python
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Call, Observed
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.testgen.package_calls import PackageCalls

_MAX_FACTORIES, _CALLS = 5, 24
"""Factories of one class, and calls of each that are tried."""
_SELF = frozenset({"Self", "cls"})


@dataclass(frozen=True, slots=True)
class Factories:
    """Makes calls that may give an instance of one of the classes; ``generator`` is that of the module under test."""

    module: TargetModule
    package: PackageCalls
    generator: CandidateGenerator

    def working(
        self, observe: Callable[[Sequence[Call]], Mapping[int, Observed]], shown: Iterable[Call] = ()
    ) -> list[Call]:
        """Calls that gave an instance, by what ``observe`` says of them; the function of each is the class.

        Those that documents show are asked for each of the classes: what they make takes several steps more often than not.
        """
        wanted = self.generator.needed_classes()
        if not wanted:
            return []
        calls = self.generator.from_cases(self._calls(wanted))
        documented = self.generator.from_cases(
            msgspec.structs.replace(call, expression=whole, args=(), setup=(), expect=None)
            for call in filter(is_python, shown)
            if (whole := in_one(call))
        )
        seen = observe([*documented, *calls]) if calls or documented else {}
        return [
            *(
                msgspec.structs.replace(call, function=name)
                for call in documented
                for name in sorted(wanted)
                if call.id in seen and _is_instance(seen[call.id], name)
            ),
            *(call for call in calls if call.id in seen and _is_instance(seen[call.id], call.function)),
            *(
                part
                for call in (*documented, *calls)
                if call.id in seen
                for part in _parts(call, seen[call.id], wanted)
            ),
        ]

    def _calls(self, wanted: frozenset[str]) -> Iterator[Call]:
        counts = dict.fromkeys(wanted, 0)
        mentioned = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(wanted)))})\b")
        for module in (self.module, *self.package.package.others):
            if mentioned.search(module.source):
                for name, function in _factories(module, wanted):
                    counts[name] += 1
                    if counts[name] <= _MAX_FACTORIES:
                        yield from self._of(module, function, name)
                if module is not self.module:
                    yield from self._constructed(
                        module, wanted & module.classes.keys() - self.module.constructible.keys()
                    )

    def _constructed(self, module: TargetModule, classes: frozenset[str]) -> Iterator[Call]:
        """Calls of classes of another module that the module under test does not import."""
        for name in sorted(classes):
            yield from (Call(0, name, source) for source in self.package.ways(module, name))

    def _of(self, module: TargetModule, function: Function, name: str) -> Iterator[Call]:
        """Calls of one factory that need no statement before them."""
        is_own = module is self.module
        generator = self.generator if is_own else CandidateGenerator(module, self.package.seed, deep=True)
        for call in filter(is_python, generator.calls(function, _CALLS)):
            whole = msgspec.structs.replace(
                call, function=name, expression=filled(call), args=(), expect=None
            )
            if not call.setup and (is_own or self.package.is_named(whole, module)):
                yield whole


def _parts(call: Call, seen: Observed, wanted: frozenset[str]) -> Iterator[Call]:
    """What a result holds, as an instance of each of the classes that it is of; and the result itself, of the classes it derives from."""
    is_primary = isinstance(ast.parse(call.expression, mode="eval").body, ast.Call | ast.Attribute | ast.Name)
    whole = call.expression if is_primary else f"({call.expression})"
    for way, names in seen.parts:
        for name in names if way else names[1:]:
            if name in wanted:
                yield msgspec.structs.replace(call, function=name, expression=whole + way)


def _is_instance(seen: Observed, name: str) -> bool:
    if seen.kind != "value" or "list" in seen.wrap.split() or seen.wrap.startswith("asyncio"):
        return False
    return (
        seen.wrap.endswith(f"isinstance:{name}")
        or seen.text.startswith((f"{name}(", f"{name}."))
        or seen.after.get("type(result).__name__") == repr(name)
    )


def _factories(module: TargetModule, wanted: frozenset[str]) -> Iterator[tuple[str, Function]]:
    """The public functions and class methods of a module that seem to return an instance of one of the classes."""
    for function in module.functions:
        if (
            function.kind in ("class", "static")
            and function.owner in wanted
            and _returns(function, _SELF | {function.owner})
        ):
            yield function.owner, function
        elif function.kind == "function" and isinstance(function.node, ast.FunctionDef):
            yield from ((name, function) for name in sorted(wanted) if _returns(function, {name}))


def _returns(function: Function, names: Iterable[str]) -> bool:
    """Whether a function returns an instance of a class, by its annotation, or by what it returns: a call of it or what it was bound to."""
    names = frozenset(names)
    if function.returns is not None:
        text = {
            getattr(node, "id", getattr(node, "attr", getattr(node, "value", "")))
            for node in ast.walk(function.returns)
        }
        return bool(names & {str(one) for one in text})
    made = {
        target.id
        for node in ast.walk(function.node)
        if isinstance(node, ast.Assign) and _is_made(node.value, names)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    returned = [
        node.value
        for node in ast.walk(function.node)
        if isinstance(node, ast.Return) and node.value is not None
    ]
    return any(_is_made(one, names) or (isinstance(one, ast.Name) and one.id in made) for one in returned)


def _is_made(node: ast.expr, names: frozenset[str]) -> bool:
    """Whether an expression is a call of one of the names."""
    func = node.func if isinstance(node, ast.Call) else None
    return getattr(func, "id", getattr(func, "attr", "")) in names
