"""Calls out of a project's own tests: what each test looks at, with the statements before it, without a test runner.

``assert f(x) == 3`` gives the expression ``f(x)``; so do ``assertEqual``, the body of ``pytest.raises`` and the right
side of an assignment. Literals become arguments, so that they can be varied and made smaller. Imports, helpers and
constants of the test file that the statements name come first. Tests with fixtures that cannot be made here, and
asynchronous ones, are left out. Reads source only.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.target import FunctionNode
from kodo.jobs.execution.worker.fixtures import FIXTURES

_MAX_LITERALS = 8
_MAX_SETUP = 12
_MAX_ROWS = 3
_ASSERTIONS = frozenset({"assertEqual", "assertEquals", "assertTrue", "assertFalse", "assertIs", "assertIsNone", "assertIn",
                         "assertNotEqual", "assertAlmostEqual", "assertListEqual", "assertDictEqual"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _File:
    """The top level of a test file: each name with the statement that binds it, and the fixtures."""

    bindings: Mapping[str, ast.stmt]
    fixtures: Mapping[str, FunctionNode]


def calls_of_tests(source: str, package: str, words: Collection[str]) -> Iterator[Call]:
    """The calls of a test file's tests, those of tests that mention one of ``words`` first.

    ``package`` is the dotted package of the file, "" for none, to which its relative imports refer. Yields nothing
    for a file that does not parse.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    file = _read_file(tree, package)
    tests = [(node, owner) for node, owner in _tests(tree)]
    tests.sort(key=lambda row: not words or not _mentions(row[0], words))
    for node, owner in tests:
        yield from _calls_of(node, owner, file)


def _mentions(node: ast.AST, words: Collection[str]) -> bool:
    return any(
        (isinstance(one, ast.Name) and one.id in words)
        or (isinstance(one, ast.Attribute) and one.attr in words)
        for one in ast.walk(node)
    )


def _tests(tree: ast.Module) -> Iterator[tuple[FunctionNode, ast.ClassDef | None]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node, None
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name.startswith("test"):
                    yield inner, node


def _read_file(tree: ast.Module, package: str) -> _File:
    bindings: dict[str, ast.stmt] = {}
    fixtures: dict[str, FunctionNode] = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = (alias.asname or alias.name).partition(".")[0]
                statement = _import_of(node, alias, package)
                if statement is not None:
                    bindings[name] = statement
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            if any("fixture" in ast.unparse(one) for one in node.decorator_list):
                if isinstance(node, ast.FunctionDef):
                    fixtures[node.name] = node
            else:
                bindings[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for one in ast.walk(target):
                    if isinstance(one, ast.Name):
                        bindings[one.id] = node
    return _File(bindings, fixtures)


def _import_of(node: ast.Import | ast.ImportFrom, alias: ast.alias, package: str) -> ast.stmt | None:
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    module = node.module or ""
    if node.level:
        parts = package.split(".") if package else []
        if node.level > len(parts):
            return None
        module = ".".join([*parts[: len(parts) - node.level + 1], *([module] if module else [])])
    return ast.ImportFrom(module, [alias], 0)


def _calls_of(test: FunctionNode, owner: ast.ClassDef | None, file: _File) -> Iterator[Call]:
    """What one test looks at, for its first few rows of parameters."""
    for row in _rows(test, owner):
        inputs = _inputs(test, owner, file, row)
        if inputs is None:
            return
        given = [_text(statement) for statement in inputs]
        named = _read_names(inputs)
        before = [_assign(name, row[name]) for name in _arguments(test, owner) if name in row]
        for statement in test.body:
            for seen in _looked_at(statement):
                call = _call(given, named, before, seen, file)
                if call is not None:
                    yield call
            if isinstance(statement, ast.Assert) or _is_assertion(statement) or _is_documentation(statement):
                continue
            if isinstance(statement, ast.With) and "raises" in ast.unparse(statement.items[0]):
                continue
            before.append(statement)
            if len(before) > _MAX_SETUP:
                break


def _is_documentation(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_assertion(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("assert")
    )


def _looked_at(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement whose value the test is about; those with a call in them."""
    found: list[ast.expr] = []
    if isinstance(statement, ast.Assert):
        test = statement.test
        found = [test.left, *test.comparators] if isinstance(test, ast.Compare) else [test]
    elif isinstance(statement, ast.Expr):
        call = statement.value
        if _is_assertion(statement) and isinstance(call, ast.Call):
            assert isinstance(call.func, ast.Attribute)  # noqa: S101 - it was just asked
            found = list(call.args[:2]) if call.func.attr in _ASSERTIONS else []
        else:
            found = [call]
    elif isinstance(statement, ast.Assign):
        found = [statement.value]
    elif (
        isinstance(statement, ast.With)
        and len(statement.body) == 1
        and "raises" in ast.unparse(statement.items[0])
    ):
        inner = statement.body[0]
        if isinstance(inner, ast.Expr | ast.Assign):
            found = [inner.value]
    for one in found:
        nodes = list(ast.walk(one))
        if any(isinstance(node, ast.Call) for node in nodes) and not any(
            isinstance(node, ast.Await | ast.Yield | ast.NamedExpr) for node in nodes
        ):
            yield one


def _rows(test: FunctionNode, owner: ast.ClassDef | None) -> list[dict[str, ast.expr]]:
    """Parameter name -> value for the first rows of ``pytest.mark.parametrize``; one empty row without."""
    rows: list[dict[str, ast.expr]] = [{}]
    for mark in [*test.decorator_list, *(owner.decorator_list if owner else [])]:
        if not (
            isinstance(mark, ast.Call)
            and ast.unparse(mark.func).endswith("parametrize")
            and len(mark.args) >= 2
        ):
            continue
        names = _parameter_names(mark.args[0])
        values = mark.args[1].elts if isinstance(mark.args[1], ast.List | ast.Tuple) else []
        chosen: list[dict[str, ast.expr]] = []
        for value in values[:_MAX_ROWS]:
            items = (
                value.args
                if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("param")
                else None
            )
            if items is None:
                items = value.elts if len(names) > 1 and isinstance(value, ast.Tuple | ast.List) else [value]
            chosen.append(dict(zip(names, items, strict=False)))
        rows = [one | more for one in rows for more in chosen][:_MAX_ROWS] if chosen else rows
    return rows


def _parameter_names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [name.strip() for name in node.value.split(",")]
    if isinstance(node, ast.List | ast.Tuple):
        return [str(one.value) for one in node.elts if isinstance(one, ast.Constant)]
    return []


def _inputs(
    test: FunctionNode, owner: ast.ClassDef | None, file: _File, row: Mapping[str, ast.expr]
) -> list[ast.stmt] | None:
    """Statements that bind what a test takes besides its row; None where a fixture cannot be made here."""
    out: list[ast.stmt] = []
    if owner is not None and test.args.args:
        out += _instance(owner, test.args.args[0].arg)
    for name in _arguments(test, owner):
        if name in row:
            continue
        if name in file.fixtures and not file.fixtures[name].args.args:
            plain = copy.copy(file.fixtures[name])
            plain.decorator_list = []
            out.append(plain)
            value = f"{name}()"
            if any(isinstance(node, ast.Yield) for node in ast.walk(plain)):
                value = f"next({value})"
            out.append(_assign(name, ast.parse(value, mode="eval").body))
        elif name not in FIXTURES:
            return None
    return out


def _arguments(test: FunctionNode, owner: ast.ClassDef | None) -> list[str]:
    return [arg.arg for arg in test.args.args][1 if owner is not None else 0 :]


def _instance(owner: ast.ClassDef, name: str) -> list[ast.stmt]:
    """The test class's instance, set up as its runner would."""
    plain = copy.copy(owner)
    plain.decorator_list = []
    own = [one.name for one in plain.body if isinstance(one, ast.FunctionDef)]
    plain.body = [
        one for one in plain.body if not (isinstance(one, ast.FunctionDef) and one.name.startswith("test"))
    ]
    plain.body = plain.body or [ast.Pass()]
    setup = [f"{name}.{one}()" for one in ("setUp", "setup_method") if one in own]
    return [plain, *ast.parse("\n".join([f"{name} = {owner.name}()", *setup])).body]


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


class _Literals(ast.NodeTransformer):
    """Turn literals into placeholders and keep their sources."""

    def __init__(self) -> None:
        self.args: list[Arg] = []

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) in (str, int, float, bytes) and len(self.args) < _MAX_LITERALS:
            self.args.append(Arg(f"literal_{len(self.args)}", repr(node.value)))
            return ast.Name(f"_{len(self.args) - 1}", ast.Load())
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node


def _call(
    given: list[str], named: set[str], before: list[ast.stmt], seen: ast.expr, file: _File
) -> Call | None:
    """A call of what a test looks at; ``given`` binds what the test takes and names ``named``."""
    literals = _Literals()
    expression = literals.visit(copy.deepcopy(seen))
    setup = [literals.visit(copy.deepcopy(statement)) for statement in before]
    needed = _needed(file, named | _read_names([*setup, expression]))
    try:
        lines = [*map(_text, needed), *given, *map(_text, setup)]
        return Call(0, "", _text(expression), tuple(literals.args), tuple(lines), "", "test")
    except RecursionError:  # a test file may hold an expression that is nested too deep to be written
        return None


def _text(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _read_names(nodes: Iterable[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


def _needed(file: _File, names: set[str]) -> list[ast.stmt]:
    """The top-level statements that bind these names, and those that bind what they name, in the order of the file."""
    found: dict[int, ast.stmt] = {}
    todo, seen = list(names), set(names)
    while todo:
        statement = file.bindings.get(todo.pop())
        if statement is None or id(statement) in found:
            continue
        found[id(statement)] = statement
        new = _read_names([statement]) - seen
        seen |= new
        todo += new
    order = {id(statement): at for at, statement in enumerate(file.bindings.values())}
    return sorted(found.values(), key=lambda one: order[id(one)])
