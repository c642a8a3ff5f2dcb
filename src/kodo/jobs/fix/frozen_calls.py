"""The calls that a frozen test looks at, with its literals as arguments, so that other values can stand in their places.

A test is made simpler first: loops over written rows become one statement for each row, sub-tests statements of the test. Texts
only; what cannot be seen from outside gives no call.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from kodo.jobs.execution.calls_of_tests import TestSource, calls_of_tests
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.fix.near_calls import EMPTY
from kodo.jobs.fix.reproduction import Reproduction

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def calls_of_frozen(frozen: Reproduction, base: Path) -> Iterator[Call]:
    """What the frozen test looks at; nothing where a check of it cannot be seen from outside, or it is a doctest in a text."""
    if not frozen.path.endswith(".py"):
        return
    tree = ast.parse(frozen.text)
    found = _tests(tree, frozen.inside)
    for node in found:
        node.body = list(_unrolled(node.body))
    if not found or not all(_is_open(node) for node in found):
        return
    for node in found:
        node.body = [part for statement in node.body for part in _plain(statement)]
    text = ast.unparse(ast.fix_missing_locations(tree))
    package = frozen.path.rpartition("/")[0]
    source = TestSource(text, package.replace("/", ".") if (base / package / "__init__.py").is_file() else "")
    for number, call in enumerate(calls_of_tests(source, ())):
        yield _with_empty(msgspec.structs.replace(call, id=number))


def _with_empty(call: Call) -> Call:
    """A call whose empty containers and texts are arguments too."""
    finder = _Empty(list(call.args))
    expression = ast.unparse(finder.visit(ast.parse(call.expression, mode="eval")))
    return msgspec.structs.replace(call, expression=expression, args=tuple(finder.args))


class _Empty(ast.NodeTransformer):
    """Puts placeholders in the place of empty containers and texts."""

    def __init__(self, args: list[Arg]) -> None:
        self.args = args

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and (source := ast.unparse(node)) in EMPTY:
            self.args.append(Arg(f"literal_{len(self.args)}", source))
            return ast.Name(f"_{len(self.args) - 1}", ast.Load())
        return self.generic_visit(node)


def _tests(tree: ast.Module, wanted: Sequence[str]) -> list[FunctionNode]:
    """The wanted tests; every other one is taken out of the tree."""
    kept: list[FunctionNode] = []
    owners: list[ast.Module | ast.ClassDef] = [
        tree,
        *(node for node in tree.body if isinstance(node, ast.ClassDef)),
    ]
    for owner in owners:
        names = [owner.name] if isinstance(owner, ast.ClassDef) else []
        body: list[ast.stmt] = []
        for node in owner.body:
            if isinstance(node, FunctionNode) and node.name.startswith("test"):
                if list(wanted) != [*names, node.name][: len(wanted)]:
                    continue
                kept.append(node)
            body.append(node)
        owner.body = body or [ast.Pass()]
    return kept


def _is_open(test: FunctionNode) -> bool:
    """Whether every check of a test is one of its own statements, and none is inside of a loop or a condition."""
    inner = {id(node) for statement in test.body for node in ast.walk(statement) if _is_check(node)}
    own = {
        id(one)
        for statement in test.body
        for one in (statement, statement.value if isinstance(statement, ast.Expr) else None)
        if one is not None and _is_check(one)
    }
    return inner == own


def _is_check(node: ast.AST) -> bool:
    """Whether this is an ``assert``, or a method of ``unittest`` that checks by itself."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        return name.startswith("assert") and not name.startswith(("assertRaises", "assertWarns"))
    return isinstance(node, ast.Assert)


def _unrolled(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements with those of loops over written rows once for each row, and those of sub-tests among them."""
    for statement in body:
        match statement:
            case ast.For(
                target=target, iter=ast.Tuple(elts=rows) | ast.List(elts=rows), body=inner, orelse=[]
            ) if all(_bindings(target, row) is not None for row in rows) and not _leaves(inner, target):
                for row in rows:
                    put = _Put(_bindings(target, row) or {})
                    yield from _unrolled([put.visit(copy.deepcopy(one)) for one in inner])
            case ast.With(
                items=[
                    ast.withitem(
                        context_expr=ast.Call(func=ast.Attribute(attr="subTest")), optional_vars=None
                    )
                ]
            ):
                yield from _unrolled(statement.body)
            case _:
                yield statement


def _leaves(body: Sequence[ast.stmt], target: ast.expr) -> bool:
    """Whether a loop may leave a row early, or gives its names other values."""
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return any(
        isinstance(node, ast.Break | ast.Continue)
        or (isinstance(node, ast.Name) and node.id in names and not isinstance(node.ctx, ast.Load))
        for statement in body
        for node in ast.walk(statement)
    )


def _bindings(target: ast.expr, row: ast.expr) -> dict[str, ast.expr] | None:
    """What the names of a loop stand for in one row; None where that is not written there."""
    match target, row:
        case ast.Name(id=name), _:
            return {name: row}
        case ast.Tuple(elts=names), ast.Tuple(elts=parts) | ast.List(elts=parts) if len(names) == len(parts):
            found: dict[str, ast.expr] = {}
            for one, part in zip(names, parts, strict=True):
                inner = _bindings(one, part)
                if inner is None:
                    return None
                found |= inner
            return found
    return None


class _Put(ast.NodeTransformer):
    """Puts expressions in the place of names that are read."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.values.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if value is None else copy.deepcopy(value)


def _plain(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A check as simpler ones: the parts of an ``and`` one after the other, a value without a call as one with one."""
    if not isinstance(statement, ast.Assert):
        yield statement
        return
    test = statement.test
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values[:-1]:
            yield ast.Assign([ast.Name("_seen", ast.Store())], part)
        yield from _plain(ast.Assert(test.values[-1]))
        return
    if not any(isinstance(node, ast.Call) for node in ast.walk(test)):
        seen = test.left if isinstance(test, ast.Compare) else test
        yield ast.Assert(ast.Call(ast.Name("tuple", ast.Load()), [ast.List([seen], ast.Load())], []))
        return
    yield statement
