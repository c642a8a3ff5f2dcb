"""Mutants of a module: the scorecard's own yardstick of a test suite, apart from the one that test generation uses.

One small change each: a comparison moved or turned round, an arithmetic operator exchanged, a number moved by one, a
text altered, a condition negated, ``and`` and ``or`` exchanged, a method call left out, a returned value replaced by
None, a statement left out. Docstrings and annotations stay. Deterministic; some mutants are equivalent to the module,
for all contestants alike.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
}


def mutants(source: str, limit: int) -> list[str]:
    """At most ``limit`` mutated texts of the module, spread evenly over its length; none equals another.

    Raises SyntaxError when the source does not parse.
    """
    tree = ast.parse(source)
    original = ast.unparse(tree)
    spared = _spared(tree)
    places = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt) and node not in spared]
    places.sort(key=lambda node: (node.lineno, node.col_offset))
    texts: dict[str, None] = {}
    for node in places:
        for other in _others(node):
            text = ast.unparse(ast.fix_missing_locations(_Replace(node, other).visit(tree)))
            if text != original:
                texts[text] = None
    found = list(texts)
    if len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


class _Replace(ast.NodeTransformer):
    """Copies a tree, but for one node, in whose place another stands; the tree itself stays as it is."""

    def __init__(self, node: ast.AST, other: ast.AST) -> None:
        self._node = node
        self._other = other

    def visit(self, node: ast.AST) -> ast.AST:
        """The copy of a node, or the other one."""
        if node is self._node:
            return self._other
        twin: ast.AST = self.generic_visit(copy.copy(node))
        return twin

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Copy lists before the base class changes them in place."""
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, list(value))
        return super().generic_visit(node)


def _spared(tree: ast.Module) -> set[ast.AST]:
    """Docstrings and annotations, with everything in them."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                roots.append(node)
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                roots.append(annotation)
            case (
                ast.FunctionDef(returns=ast.expr() as returns)
                | ast.AsyncFunctionDef(returns=ast.expr() as returns)
            ):
                roots.append(returns)
    return {inner for root in roots for inner in ast.walk(root)}


def _others(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    """The nodes that may stand in the place of this one."""
    match node:
        case ast.Compare(left, [op], comparators) if type(op) in _COMPARE:
            yield ast.Compare(left, [_COMPARE[type(op)]()], comparators)
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _ARITHMETIC:
            yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
            yield ast.Pass()
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value):
            yield ast.Constant(value + "!")
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.While(test, body, orelse):
            yield ast.While(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Call(ast.Attribute(receiver, _, _), _, _):
            yield receiver
        case ast.Return(value=ast.expr()):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
