"""Calls that combine what other calls use apart: one takes an argument of another one, or goes to its neighbour.

``shop.sell(a, gift=True)`` and ``shop.order(a)`` make ``shop.order(a, gift=True)``. Reads source only.
"""

from __future__ import annotations

import ast
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from kodo.jobs.execution.calls import DEFINITIONS, substitute
from kodo.jobs.execution.model import Arg, Call

_NEIGHBOUR = 0.25  # of the combinations, those that call another function of the same module
_MAX_VALUES = 40
_MAX_VAIN = 4
_MAX_ARGS = 20
_MAX_READ = 600
_LONGEST_VALUE = 1000
Slot = int | str
"""A place of an argument: its position, or its keyword; "" stands for the function itself."""


class _Value(NamedTuple):
    source: str
    imports: tuple[str, ...]


class Combinations:
    """The arguments in ``calls`` by function and place; :meth:`combined` puts one of them into another call."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._given: dict[str, dict[Slot, dict[_Value, None]]] = {}
        self._functions: dict[str, dict[_Value, None]] = {}
        self._vain: Counter[tuple[str, Slot]] = Counter()
        self._tried: dict[int, tuple[str, Slot]] = {}
        for call in itertools.islice(calls, _MAX_READ):
            self._read(call)

    def combined(self, call: Call, number: int, rng: random.Random) -> Call | None:
        """The call with an argument of another one, or to another function of the same module; None for neither."""
        trees = _trees(call)
        nodes = [node for tree in trees for node in _calls_in(tree)]
        if not nodes:
            return None
        node = rng.choice(nodes)
        callee = _callee(node, _imported(call))
        module = callee.rpartition(".")[0]
        if rng.random() < _NEIGHBOUR:
            others = [
                one
                for one in self._functions.get(module, ())
                if one.source != callee and self._is_worth(one.source, "")
            ]
            if not others:
                return None
            value = rng.choice(others)
            self._tried[number] = value.source, ""
            node.func = ast.parse(value.source, mode="eval").body
            return _remade(call, number, trees, call.args, value.imports)
        slots = [
            slot
            for slot in sorted({*self._given.get(callee, ()), *self._given.get(f"{module}.*", ())}, key=str)
            if (isinstance(slot, str) or slot < len(node.args)) and self._is_worth(callee, slot)
        ]
        if not slots:
            return None
        slot = rng.choice(slots)
        value = rng.choice([*(self._given.get(callee, {}).get(slot) or self._given[f"{module}.*"][slot])])
        self._tried[number] = callee, slot
        args, given = call.args, ast.parse(value.source, mode="eval").body
        if _is_literal(given) and len(args) < _MAX_ARGS:
            args, given = (
                (*args, Arg(f"literal_{len(args)}", value.source)),
                ast.Name(f"_{len(args)}", ast.Load()),
            )
        _put(node, slot, given)
        return _remade(call, number, trees, args, value.imports)

    def learn(self, number: int, arrived: bool) -> None:
        """Do that less often which keeps calls from where they were to go."""
        if (tried := self._tried.pop(number, None)) is not None:
            self._vain[tried] += -1 if arrived else 1

    def _is_worth(self, callee: str, slot: Slot) -> bool:
        return self._vain[callee, slot] < _MAX_VAIN

    def _read(self, call: Call) -> None:
        imported = _imported(call)
        sources = {f"_{at}": arg.source for at, arg in enumerate(call.args)}
        for node in (node for tree in _trees(call) for node in _calls_in(tree)):
            callee = _callee(node, imported)
            module = callee.rpartition(".")[0]
            if module:
                lines = imported[ast.unparse(node.func).partition(".")[0]][1]
                self._functions.setdefault(module, {})[_Value(callee, lines)] = None
            keywords: list[tuple[Slot, ast.expr]] = [
                (word.arg, word.value) for word in node.keywords if word.arg
            ]
            for slot, given in [*enumerate(node.args), *keywords]:
                value = _value(given, sources, imported)
                if value is None:
                    continue
                for name in (callee, f"{module}.*") if isinstance(slot, str) and module else (callee,):
                    pool = self._given.setdefault(name, {}).setdefault(slot, {})
                    if len(pool) < _MAX_VALUES:
                        pool[value] = None


def _trees(call: Call) -> list[ast.stmt]:
    """Fresh trees of the call's statements but for imports and functions, its expression last."""
    lines = [line for line in call.setup if _holds_calls(line)]
    return [ast.parse(line).body[0] for line in [*lines, call.expression]]


def _holds_calls(line: str) -> bool:
    """Whether a statement is looked into: not an import or a function; of a class, what its body itself calls."""
    return "(" in line and (line.startswith("class ") or not line.startswith(DEFINITIONS))


def _calls_in(tree: ast.AST) -> Iterator[ast.Call]:
    body = tree.body if isinstance(tree, ast.ClassDef) else [tree]
    plain = (one for one in body if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return (node for one in plain for node in ast.walk(one) if isinstance(node, ast.Call))


def _imported(call: Call) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name that the setup imports -> what it is from the outermost module on, and the statements to import that."""
    out: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in call.setup:
        if not line.startswith(("import ", "from ")):
            continue
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


def _callee(node: ast.Call, imported: Mapping[str, tuple[str, object]]) -> str:
    """What a call calls: its dotted name where its root is imported, else the last name alone."""
    text = ast.unparse(node.func)
    root, dot, rest = text.partition(".")
    if root in imported and text.replace(".", "").replace("_", "a").isalnum():
        return imported[root][0] + dot + rest
    return text.rpartition(".")[2]


def _value(
    node: ast.expr, sources: Mapping[str, str], imported: Mapping[str, tuple[str, tuple[str, ...]]]
) -> _Value | None:
    """An argument that can be put elsewhere; None where it stands on a variable."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - sources.keys()
    if not names <= imported.keys():
        return None
    source = substitute(ast.unparse(node), {**sources, **{name: imported[name][0] for name in names}})
    if len(source) > _LONGEST_VALUE:
        return None
    return _Value(source, tuple(line for name in sorted(names) for line in imported[name][1]))


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def _put(node: ast.Call, slot: Slot, given: ast.expr) -> None:
    if isinstance(slot, int):
        node.args[slot] = given
    else:
        node.keywords = [*(one for one in node.keywords if one.arg != slot), ast.keyword(slot, given)]


def _remade(
    call: Call, number: int, trees: list[ast.stmt], args: tuple[Arg, ...], imports: tuple[str, ...]
) -> Call:
    """The call with changed statements in the places of its own."""
    *lines, expression = (ast.unparse(ast.fix_missing_locations(tree)) for tree in trees)
    changed = iter(lines)
    setup = [next(changed) if _holds_calls(line) else line for line in call.setup]
    new = [line for line in dict.fromkeys(imports) if line not in setup]
    return msgspec.structs.replace(call, id=number, args=args, setup=(*new, *setup), expression=expression)
