"""Calls that combine what other calls use apart: one takes an argument of another one, or goes to its neighbour.

``shop.sell(a, gift=True)`` and ``shop.order(a)`` make ``shop.order(a, gift=True)``. Reads source only.
"""

from __future__ import annotations

import ast
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from kodo.jobs.execution.calls import DEFINITIONS, substitute
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.literal_value import is_literal

_NEIGHBOUR = 0.25  # of the combinations, those that call another function of the same module
_NAMED = 0.4  # of the other ones, those with an option that is called like a name on the changed lines
_OPTION_VALUES = ("True", "True", "False", "None", "0", "1", "''")
_COMPARED = (
    0.6  # of the options of these names, those that are compared with constants on these lines, and given one
)
_MAX_VALUES = 40
_MAX_VAIN = 4
_MAX_ARGS = 20
_MAX_READ = 600
_LONGEST_VALUE = 1000
_PLACEHOLDER = re.compile(r"\b_\d+\b")
Imported = Mapping[str, tuple[str, tuple[str, ...]]]
"""Name that a setup imports -> what it is from the outermost module on, and the statements to import that."""
Slot = int | str
"""A place of an argument: its position, or its keyword; "" stands for the function itself."""


class _Value(NamedTuple):
    source: str
    imports: tuple[str, ...]


class Arguments:
    """The arguments in calls by function and place, and the functions by module.

    Many calls begin with the same statements; each statement is read once.
    """

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        self.given: dict[str, dict[Slot, dict[_Value, None]]] = {}
        self.functions: dict[str, dict[_Value, None]] = {}
        self._count = 0
        self._known: set[tuple[str, tuple[str, ...], tuple[str, ...]]] = set()
        self.read(calls)

    def read(self, calls: Iterable[Call]) -> None:
        """Take what is in more calls, up to a number of them altogether."""
        for call in itertools.islice(calls, _MAX_READ - self._count):
            self._count += 1
            imports = tuple(line for line in call.setup if line.startswith(("import ", "from ")))
            sources = {f"_{at}": arg.source for at, arg in enumerate(call.args)}
            for line in _lines(call):
                used = {name: sources[name] for name in _PLACEHOLDER.findall(line) if name in sources}
                key = line, imports, tuple(used.values())
                if key not in self._known:
                    self._known.add(key)
                    self._read(line, used, _imported(imports))

    def _read(self, line: str, sources: Mapping[str, str], imported: Imported) -> None:
        for node in _calls_in(ast.parse(line).body[0]):
            callee = _callee(node, imported)
            module = callee.rpartition(".")[0]
            if module:
                lines = imported[ast.unparse(node.func).partition(".")[0]][1]
                self.functions.setdefault(module, {})[_Value(callee, lines)] = None
            keywords: list[tuple[Slot, ast.expr]] = [
                (word.arg, word.value) for word in node.keywords if word.arg
            ]
            for slot, given in [*enumerate(node.args), *keywords]:
                value = _value(given, sources, imported)
                if value is None:
                    continue
                for name in (callee, f"{module}.*") if isinstance(slot, str) and module else (callee,):
                    pool = self.given.setdefault(name, {}).setdefault(slot, {})
                    if len(pool) < _MAX_VALUES:
                        pool[value] = None


class Combinations:
    """Puts one of ``arguments`` into another call, and learns which of these changes let it arrive where it is to go.

    ``names`` are those on the changed lines: an option may be called so, which no other call gives. ``compared`` are the sources of
    what they are compared with there.
    """

    def __init__(
        self,
        arguments: Arguments,
        names: Sequence[str] = (),
        compared: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._arguments = arguments
        self._names = tuple(dict.fromkeys((*names, *compared)))
        self._compared = compared
        self._vain: Counter[tuple[str, Slot]] = Counter()
        self._tried: dict[int, tuple[str, Slot]] = {}

    def combined(self, call: Call, number: int, rng: random.Random) -> Call | None:
        """The call with an argument of another one, an option of those names, or to another function of the same module; None
        for none of them.
        """
        statements = _lines(call)
        places = [(at, number) for at, line in enumerate(statements) for number in range(_count_calls(line))]
        if not places:
            return None
        at, place = rng.choice(places)
        tree = ast.parse(statements[at]).body[0]
        node = next(itertools.islice(_calls_in(tree), place, None))
        imports = tuple(line for line in call.setup if line.startswith(("import ", "from ")))
        callee = _callee(node, _imported(imports))
        if rng.random() < _NEIGHBOUR:
            made = self._to_neighbour(node, callee, number, rng)
            return None if made is None else _remade(call, number, at, tree, call.args, made.imports)
        named = [name for name in self._names if self._is_worth(callee, name)]
        if named and rng.random() < _NAMED:
            name, value_source = self._option(named, rng)
            self._tried[number] = callee, name
            _put(node, name, ast.parse(value_source, mode="eval").body)
            return _remade(call, number, at, tree, call.args, ())
        chosen = self._argument(node, callee, rng)
        if chosen is None:
            return None
        slot, value = chosen
        self._tried[number] = callee, slot
        args, given = call.args, ast.parse(value.source, mode="eval").body
        if is_literal(given) and len(args) < _MAX_ARGS:
            args, given = (
                (*args, Arg(f"literal_{len(args)}", value.source)),
                ast.Name(f"_{len(args)}", ast.Load()),
            )
        _put(node, slot, given)
        return _remade(call, number, at, tree, args, value.imports)

    def _option(self, names: Sequence[str], rng: random.Random) -> tuple[str, str]:
        """One of these names, and the source of a value for it."""
        compared = [name for name in names if name in self._compared]
        if compared and rng.random() < _COMPARED:
            name = rng.choice(compared)
            return name, rng.choice(self._compared[name])
        return rng.choice(names), rng.choice(_OPTION_VALUES)

    def _to_neighbour(self, node: ast.Call, callee: str, number: int, rng: random.Random) -> _Value | None:
        """Let a call call another function of the same module, and return that one; None where there is none."""
        functions = self._arguments.functions.get(callee.rpartition(".")[0], ())
        others = [one for one in functions if one.source != callee and self._is_worth(one.source, "")]
        if not others:
            return None
        value = rng.choice(others)
        self._tried[number] = value.source, ""
        node.func = ast.parse(value.source, mode="eval").body
        return value

    def _argument(self, node: ast.Call, callee: str, rng: random.Random) -> tuple[Slot, _Value] | None:
        """A place of a call, and what other calls give there; None where they give nothing."""
        own = self._arguments.given.get(callee, {})
        every = self._arguments.given.get(f"{callee.rpartition('.')[0]}.*", {})
        slots = [
            slot
            for slot in sorted({*own, *every}, key=str)
            if (isinstance(slot, str) or slot < len(node.args)) and self._is_worth(callee, slot)
        ]
        if not slots:
            return None
        slot = rng.choice(slots)
        return slot, rng.choice([*(own.get(slot) or every[slot])])

    def learn(self, number: int, arrived: bool) -> None:
        """Do that less often which keeps calls from where they were to go."""
        if (tried := self._tried.pop(number, None)) is not None:
            self._vain[tried] += -1 if arrived else 1

    def _is_worth(self, callee: str, slot: Slot) -> bool:
        return self._vain[callee, slot] < _MAX_VAIN


def _lines(call: Call) -> list[str]:
    """The call's statements but for imports and functions, its expression last."""
    return [*(line for line in call.setup if _holds_calls(line)), call.expression]


@lru_cache(maxsize=4096)
def _count_calls(line: str) -> int:
    return sum(1 for _ in _calls_in(ast.parse(line).body[0]))


def _holds_calls(line: str) -> bool:
    """Whether a statement is looked into: not an import or a function; of a class, what its body itself calls."""
    return "(" in line and (line.startswith("class ") or not line.startswith(DEFINITIONS))


def _calls_in(tree: ast.AST) -> Iterator[ast.Call]:
    body = tree.body if isinstance(tree, ast.ClassDef) else [tree]
    plain = (one for one in body if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return (node for one in plain for node in ast.walk(one) if isinstance(node, ast.Call))


@lru_cache(maxsize=1024)
def _imported(imports: tuple[str, ...]) -> Imported:
    """What some statements import."""
    out: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in imports:
        node = ast.parse(line).body[0]
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                out[alias.asname or root] = (alias.name if alias.asname else root, (f"import {alias.name}",))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                out[alias.asname or alias.name] = (
                    name,
                    (f"import {node.module}", f"from {node.module} import {alias.name}"),
                )
    return out


def _callee(node: ast.Call, imported: Imported) -> str:
    """What a call calls: its dotted name where its root is imported, else the last name alone."""
    text = ast.unparse(node.func)
    root, dot, rest = text.partition(".")
    if root in imported and text.replace(".", "").replace("_", "a").isalnum():
        return imported[root][0] + dot + rest
    return text.rpartition(".")[2]


def _value(node: ast.expr, sources: Mapping[str, str], imported: Imported) -> _Value | None:
    """An argument that can be put elsewhere; None where it stands on a variable."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - sources.keys()
    if not names <= imported.keys():
        return None
    source = substitute(ast.unparse(node), {**sources, **{name: imported[name][0] for name in names}})
    if len(source) > _LONGEST_VALUE:
        return None
    return _Value(source, tuple(line for name in sorted(names) for line in imported[name][1]))


def _put(node: ast.Call, slot: Slot, given: ast.expr) -> None:
    if isinstance(slot, int):
        node.args[slot] = given
    else:
        node.keywords = [*(one for one in node.keywords if one.arg != slot), ast.keyword(slot, given)]


def _remade(
    call: Call, number: int, at: int, tree: ast.stmt, args: tuple[Arg, ...], imports: tuple[str, ...]
) -> Call:
    """The call with a changed statement in the place of the one that is number ``at`` of those looked into."""
    statements = _lines(call)
    statements[at] = ast.unparse(ast.fix_missing_locations(tree))
    *lines, expression = statements
    changed = iter(lines)
    setup = [next(changed) if _holds_calls(line) else line for line in call.setup]
    new = [line for line in dict.fromkeys(imports) if line not in setup]
    return msgspec.structs.replace(call, id=number, args=args, setup=(*new, *setup), expression=expression)
