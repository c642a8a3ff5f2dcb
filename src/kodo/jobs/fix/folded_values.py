"""Whether a change decides by a number that is made of many values at once, with nothing that says why.

A fix asks for one thing of one argument, or for a relation of two. One that puts a number beside a list and adds both up, or that
compares a sum over the letters of a text with a number that neither the code nor the test names, asks for one call in
disguise. Texts only.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest

from kodo.jobs.fix.flows import Flows, FunctionNode, conditions, function_names, parameters, touched

_FOLDS = frozenset(
    {"sum", "len", "max", "min", "reduce", "prod", "fsum", "sumprod", "Counter", "sorted", "accumulate", "zip", "map", "enumerate", "set",
     "frozenset", "dict", "count"}
)  # fmt: skip  # a table reads better in rows
"""What makes one thing of a row of values."""
_COMPREHENSION = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
_TINY = 0.01
"""Numbers below are tolerances."""
Kinds = Mapping[str, tuple[frozenset[str], ...]]
"""The types that a test gives to each parameter of a function, by the function's name."""


def folded_values(
    before: ast.Module | None, after: ast.Module, test: ast.Module | None, unnamed: frozenset[str]
) -> tuple[str, ...]:
    """What the module after makes numbers of to decide by them, and the one before not.

    Args:
        before, after: the module without and with the patch.
        test: the frozen test; what it gives says which arguments are of different kinds.
        unnamed: the constants, as sources, that neither the code before nor the test names.
    """
    base = before or ast.Module([], [])
    functions = function_names(base)
    kinds = _kinds(test)
    where = touched(base, after)
    old = set(_Folds(Flows(base), kinds, unnamed).found(where))
    new = set(_Folds(Flows(after, functions), kinds, unnamed).found(where))
    return tuple(sorted({what for _, _, what in new - old}))


def _kinds(test: ast.Module | None) -> Kinds:
    found: dict[str, tuple[frozenset[str], ...]] = {}
    for node in ast.walk(test) if test is not None else ():
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args):
                nothing: frozenset[str] = frozenset()
                rows = zip_longest(found.get(name, ()), map(_kind, args), fillvalue=nothing)
                found[name] = tuple(known | given for known, given in rows)
    return found


def _kind(node: ast.expr) -> frozenset[str]:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return frozenset()
    return frozenset({"number" if isinstance(value, int | float) else type(value).__name__})


class _Folds:
    """The decisions of one module by a number that is made of many values."""

    def __init__(self, flows: Flows, kinds: Kinds, unnamed: frozenset[str]) -> None:
        self.flows, self.kinds, self.unnamed = flows, kinds, unnamed
        self._known: dict[int, list[str]] = {}

    def found(self, functions: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """The function of each that is in one of ``functions``, the condition, and what the number is made of."""
        for where, part in self._parts(functions):
            yield from ((where, ast.unparse(part), what) for what in self._made_of(part))

    def _parts(self, functions: Collection[str]) -> Iterator[tuple[str, ast.expr]]:
        for node in self.flows.nodes(functions):
            for part in conditions(node):
                # the body of a lambda is a condition where it is called; a part of a row is a value
                if not isinstance(part, ast.Lambda | ast.Slice):
                    yield getattr(self.flows.scope(node), "name", ""), part

    def _made_of(self, part: ast.AST) -> Iterator[str]:
        reached = list(self.flows.reaching(part))
        folds = folds_among(self.flows, reached)
        for fold in folds:
            yield from self._rows(fold)
        if folds or self._is_of_several(reached):
            for number in reached:
                if (
                    isinstance(number, ast.Constant)
                    and _is_telling(number.value)
                    and repr(number.value) in self.unnamed
                ):
                    yield f"a sum beside {number.value!r}, which neither the code nor the test names"

    def _rows(self, fold: ast.AST) -> list[str]:
        """The mixed rows that a fold makes a number of; asked once for each fold."""
        if id(fold) not in self._known:
            mixed = filter(self._is_mixed, self.flows.reaching(fold))
            self._known[id(fold)] = [f"a number of {ast.unparse(row)}" for row in mixed]
        return self._known[id(fold)]

    def _is_mixed(self, row: ast.AST) -> bool:
        """Whether a row is made of one argument, or of arguments of different kinds."""
        match row:
            case ast.Call(func=ast.Name(id="vars" | "locals")) | ast.Attribute(attr="__dict__"):
                return True
            case ast.Tuple(elts=[_, *_]) | ast.List(elts=[_, _, *_]):
                places = [self._parameter(one) for one in row.elts]
                if None in places:
                    return False
                kinds = [kind for kind in places if kind]
                return len(places) == 1 or len(frozenset().union(*kinds)) > 1
        return False

    def _parameter(self, node: ast.expr) -> frozenset[str] | None:
        """The types that the test gives to a parameter; None for what is none."""
        scope = self.flows.scope(node)
        if not isinstance(node, ast.Name) or not isinstance(scope, FunctionNode):
            return None
        names = [arg.arg for arg in parameters(scope) if arg.arg not in ("self", "cls")]
        if node.id not in names:
            return None
        given = self.kinds.get(getattr(scope, "name", ""), ())
        at = names.index(node.id)
        return given[at] if at < len(given) else frozenset()

    def _is_of_several(self, reached: list[ast.AST]) -> bool:
        """Whether arithmetic is done with two parameters."""
        names = {
            one.id
            for node in reached
            if isinstance(node, ast.BinOp)
            for one in ast.walk(node)
            if isinstance(one, ast.Name) and self._parameter(one) is not None
        }
        return len(names) > 1


def folds_among(flows: Flows, reached: Sequence[ast.AST]) -> list[ast.AST]:
    """The nodes that make one thing of a row, or that a loop adds to, among those that a condition depends on."""
    asked = {id(row) for node in reached for row in _asked_alike(node)}
    return [
        node
        for node in reached
        if (_is_fold(node) and id(node) not in asked)
        or (isinstance(node, ast.Name) and flows.is_summed(node))
    ]


def _is_fold(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name() | ast.Attribute() | ast.Subscript()]):
            return False
        case ast.Call(func=ast.Name(id="max" | "min"), args=[_, _, *_]):
            return False  # the nearest number in a range
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _FOLDS
    return isinstance(node, _COMPREHENSION)


def _asked_alike(node: ast.AST) -> list[ast.AST]:
    """The row of an ``any`` or ``all`` that only asks each value whether it is something, or of which type."""
    match node:
        case ast.Call(
            func=ast.Name(id="any" | "all"),
            args=[ast.GeneratorExp(elt=asked) | ast.ListComp(elt=asked) as row],
        ):
            match asked.operand if isinstance(asked, ast.UnaryOp) else asked:
                case (
                    ast.Name()
                    | ast.Compare(ops=[ast.Is() | ast.IsNot()])
                    | ast.Call(func=ast.Name(id="isinstance" | "callable"))
                ):
                    return [row]
    return []


def _is_telling(value: object) -> bool:
    """Whether a number is none that any code may have."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) > _TINY
        and value not in (1, 2, 10, 100)
    )
