"""The conditions on the arguments of a call that a patch brings.

A border that is mended, another number or ``<=`` for ``<``, is none; nor is what is asked of each item of a row, as a filter does. Texts
only; whether the calls that such a condition changes can be told from the others is asked in ``regions``.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator, Sequence

from kodo.jobs.fix.flows import Flows, FunctionNode, conditions, function_names, parameters, touched

_DISPLAY = ast.Tuple | ast.List | ast.Dict
_FOLDS = frozenset(
    {"sum", "len", "max", "min", "reduce", "prod", "fsum", "sumprod", "Counter", "sorted", "accumulate", "zip", "map", "enumerate", "set",
     "frozenset", "dict", "count"}
)  # fmt: skip  # a table reads better in rows
"""What makes one thing of a row of values."""
_COMPREHENSION = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def new_conditions(before: ast.Module, after: ast.Module) -> tuple[str, ...]:
    """The conditions, as sources, that the module after has and the one before has in no such form; the longest first."""
    found = {ast.unparse(part) for part in condition_nodes(before, after)}
    return tuple(sorted(found, key=lambda source: (-len(source), source)))


def condition_nodes(before: ast.Module, after: ast.Module) -> list[ast.expr]:
    """The same as nodes of the module after."""
    functions = touched(before, after)
    old = {(where, _shape(part)) for where, part in _Conditions(Flows(before)).found(functions)}
    new = _Conditions(Flows(after, function_names(before))).found(functions)
    return [part for where, part in new if (where, _shape(part)) not in old]


class _Conditions:
    """The conditions of one module that depend on the arguments of a call."""

    def __init__(self, flows: Flows) -> None:
        self.flows = flows
        self._of_items = {
            (id(flows.scope(name)), name.id)
            for node in ast.walk(flows.tree)
            if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
            and not isinstance(node.iter, _DISPLAY)
            for name in ast.walk(node.target)
            if isinstance(name, ast.Name)
        }

    def found(self, functions: Collection[str]) -> Iterator[tuple[str, ast.expr]]:
        """The function of each that is in one of ``functions``, and the condition."""
        for node in self.flows.nodes(functions):
            if isinstance(node, ast.Subscript) and not isinstance(node.value, _DISPLAY):
                continue  # an item or a part of a row is a value
            for part in conditions(node):
                if not isinstance(part, ast.Lambda) and self._is_on_a_call(part):
                    yield getattr(self.flows.scope(node), "name", ""), part

    def _is_on_a_call(self, part: ast.expr) -> bool:
        """Whether a condition depends on a parameter, and not on one item of it; or makes one thing of many values."""
        reached = list(self.flows.reaching(part))
        if _folds_among(self.flows, reached):
            return True
        names = [node for node in reached if isinstance(node, ast.Name)]
        of_item = any((id(self.flows.scope(name)), name.id) in self._of_items for name in names)
        return not of_item and any(map(self._is_parameter, names))

    def _is_parameter(self, name: ast.Name) -> bool:
        scope = self.flows.scope(name)
        return isinstance(scope, FunctionNode) and name.id in {arg.arg for arg in parameters(scope)}


def _folds_among(flows: Flows, reached: Sequence[ast.AST]) -> list[ast.AST]:
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


def _shape(part: ast.expr) -> str:
    """A condition without its constants and operators."""
    return ast.dump(_Masked().visit(copy.deepcopy(part)))


class _Masked(ast.NodeTransformer):
    """Puts the same constant and the same operators in the places of all."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(0)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return self.generic_visit(ast.Compare(node.left, [ast.Eq() for _ in node.ops], node.comparators))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return self.generic_visit(ast.BinOp(node.left, ast.Add(), node.right))
