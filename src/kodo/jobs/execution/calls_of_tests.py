"""Calls out of a project's own tests: what each test looks at, with the statements before it, without a test runner.

``assert f(x) == 3`` gives the expression ``f(x)``; so do ``assertEqual``, the body of ``pytest.raises`` or ``assertRaises`` and the right
side of an assignment. Literals become arguments, so that they can be varied and made smaller. Imports, helpers and
constants of the test file that the statements name come first, and the fixtures of it and of its conftests. Tests with
fixtures that cannot be made here are left out. Reads source only.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from kodo.jobs.execution.call_literals import with_placeholders
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.parameters import FunctionNode
from kodo.jobs.execution.worker.fixtures import TEST_FIXTURES

_MAX_SETUP = 20
_MAX_ROWS = 10
_MAX_FIXTURES = 12
_CHECK = re.compile(r"_*(?:assert|check|validate|verify|ensure|expect)", re.IGNORECASE)
"""How the names of functions begin that look at something and change nothing."""
_ASSERTIONS = frozenset({"assertEqual", "assertEquals", "assertTrue", "assertFalse", "assertIs", "assertIsNone", "assertIn",
                         "assertNotEqual", "assertAlmostEqual", "assertListEqual", "assertDictEqual"})  # fmt: skip


@dataclass(frozen=True)
class _Statement:
    """A statement that many calls share: its text, the names in it and the one that it defines are read once."""

    node: ast.stmt

    @cached_property
    def text(self) -> str:
        return _text(self.node)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(_read_names([self.node]))

    @property
    def defined(self) -> str:
        """The name of the function or class that it defines, "" for none."""
        return self.node.name if isinstance(self.node, FunctionNode | ast.ClassDef) else ""


@dataclass(frozen=True)
class _File:
    """The top level of a test file: each name with the statement that binds it, the fixtures, and instances of its classes."""

    bindings: Mapping[str, _Statement]
    fixtures: Mapping[str, FunctionNode]
    instances: dict[int, list[_Statement]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TestSource:
    """A test file. ``package`` is its dotted package, "" for none, to which its relative imports refer; ``conftests`` are
    the texts and packages of the conftests above it; ``place`` is an expression for its path.
    """

    __test__ = False
    text: str
    package: str = ""
    conftests: tuple[tuple[str, str], ...] = ()
    place: str = "''"


@lru_cache(maxsize=512)
def parsed(text: str) -> ast.Module | None:
    """The tree of a test file, which nobody changes; None where it does not parse."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def calls_of_tests(source: TestSource, words: Collection[str]) -> Iterator[Call]:
    """The calls of a test file's tests, those of tests that mention one of ``words`` first.

    Yields nothing for a file that does not parse.
    """
    tree = parsed(source.text)
    outer = [(one, package) for text, package in source.conftests if (one := parsed(text)) is not None]
    if tree is None:
        return
    file = _File({"__file__": _Statement(ast.parse(f"__file__ = {source.place}").body[0])}, {})
    for one, package in [*outer, (tree, source.package)]:
        read = _read_file(one, package)
        file = _File({**file.bindings, **read.bindings}, {**file.fixtures, **read.fixtures})
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
    """The tests of a file, each with the class that it runs in: of those of a mixin the first class that derives from it."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    heirs = {base.id: one for one in reversed(classes) for base in one.bases if isinstance(base, ast.Name)}
    for node in tree.body:
        if isinstance(node, FunctionNode) and node.name.startswith("test"):
            yield node, None
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, FunctionNode) and inner.name.startswith("test"):
                    is_mixin = not node.bases and not node.name.startswith("Test")
                    yield inner, heirs.get(node.name, node) if is_mixin else node


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
        elif isinstance(node, FunctionNode | ast.ClassDef):
            if any("fixture" in ast.unparse(one) for one in node.decorator_list):
                if isinstance(node, FunctionNode):
                    fixtures[_fixture_name(node)] = node
            else:
                bindings[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for one in ast.walk(target):
                    if isinstance(one, ast.Name):
                        bindings[one.id] = node
    shared = {id(node): _Statement(node) for node in bindings.values()}
    return _File({name: shared[id(node)] for name, node in bindings.items()}, fixtures)


def _fixture_name(node: FunctionNode) -> str:
    """The name that tests take a fixture by: that of its mark, else its own."""
    for mark in node.decorator_list:
        for word in mark.keywords if isinstance(mark, ast.Call) else ():
            if word.arg == "name" and isinstance(word.value, ast.Constant):
                return str(word.value.value)
    return node.name


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
        given = [statement.text for statement in inputs]
        named = set().union(*(statement.names for statement in inputs))
        named -= {statement.defined for statement in inputs}  # the class of the test, without its tests
        before = [_assign(name, row[name]) for name in _arguments(test, owner) if name in row]
        for statement in test.body:
            for seen in _looked_at(statement):
                call = _call(given, named, before, seen, file)
                if call is not None:
                    yield call
            if isinstance(statement, ast.Assert) or _is_check(statement) or _is_documentation(statement):
                continue
            if _expects_error(statement):
                continue
            before.append(statement)
            if len(before) > _MAX_SETUP:
                break


def _is_documentation(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_check(statement: ast.stmt) -> bool:
    """Whether a statement only looks at something: an assertion, or a call of a helper that is named like one."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    name = ast.unparse(call.func).rpartition(".")[2] if isinstance(call, ast.Call) else ""
    return bool(_CHECK.match(name))


def _is_assertion(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("assert")
    )


def _expects_error(statement: ast.stmt) -> bool:
    """Whether a statement is the block of ``pytest.raises`` or ``assertRaises``."""
    return isinstance(statement, ast.With) and "raises" in ast.unparse(statement.items[0]).lower()


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
    elif isinstance(statement, ast.With) and len(statement.body) == 1 and _expects_error(statement):
        inner = statement.body[0]
        if isinstance(inner, ast.Expr | ast.Assign):
            found = [inner.value]
    for one in found:
        nodes = list(ast.walk(one))
        if any(isinstance(node, ast.Call) for node in nodes) and not any(
            isinstance(node, ast.Yield | ast.NamedExpr) for node in nodes
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
        chosen = list(_given_rows(names, mark.args[1]))
        rows = [one | more for one in rows for more in chosen][:_MAX_ROWS] if chosen else rows
    return rows


def _given_rows(names: list[str], values: ast.expr) -> Iterator[dict[str, ast.expr]]:
    """The rows of one mark, spread over those there are; of a value that is computed, the first ones by their place."""
    if not isinstance(values, ast.List | ast.Tuple):
        for at in range(_MAX_ROWS):
            row = ast.parse(f"list({ast.unparse(values)})[{at}]", mode="eval").body
            if len(names) == 1:
                yield {names[0]: row}
            else:
                yield {
                    name: ast.Subscript(row, ast.Constant(place), ast.Load())
                    for place, name in enumerate(names)
                }
        return
    for value in values.elts[:: max(1, len(values.elts) // _MAX_ROWS)][:_MAX_ROWS]:
        items = (
            value.args if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("param") else None
        )
        if items is None:
            items = value.elts if len(names) > 1 and isinstance(value, ast.Tuple | ast.List) else [value]
        yield dict(zip(names, items, strict=False))


def _parameter_names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [name.strip() for name in node.value.split(",")]
    if isinstance(node, ast.List | ast.Tuple):
        return [str(one.value) for one in node.elts if isinstance(one, ast.Constant)]
    return []


def _inputs(
    test: FunctionNode, owner: ast.ClassDef | None, file: _File, row: Mapping[str, ast.expr]
) -> list[_Statement] | None:
    """Statements that bind what a test takes besides its row; None where a fixture cannot be made here."""
    out: list[_Statement] = []
    if owner is not None and test.args.args:
        if id(owner) not in file.instances:
            file.instances[id(owner)] = [_Statement(one) for one in _instance(owner, test.args.args[0].arg)]
        out += file.instances[id(owner)]
    made: set[str] = set()
    for name in _arguments(test, owner):
        if name not in row and not _make_fixture(name, file, out, made):
            return None
    return out


def _make_fixture(name: str, file: _File, out: list[_Statement], made: set[str]) -> bool:
    """Add the statements that bind a fixture and those it takes itself; False where that cannot be done here."""
    if name in made or name in TEST_FIXTURES:
        return True
    fixture = file.fixtures.get(name)
    if fixture is None or len(made) >= _MAX_FIXTURES or isinstance(fixture, ast.AsyncFunctionDef):
        return False
    made.add(name)
    inner = [arg.arg for arg in fixture.args.args]
    for one in inner:
        if one == "request":
            out.append(_Statement(_request(fixture)))
        elif not _make_fixture(one, file, out, made):
            return False
    plain = copy.copy(fixture)
    plain.decorator_list = []
    out.append(_Statement(plain))
    value = f"{fixture.name}({', '.join(inner)})"
    if any(isinstance(node, ast.Yield) for node in ast.walk(plain)):
        value = f"next({value})"
    out.append(_Statement(_assign(name, ast.parse(value, mode="eval").body)))
    return True


def _request(fixture: FunctionNode) -> ast.stmt:
    """What a fixture sees of its request: the first of its parameters."""
    given = [
        word.value
        for mark in fixture.decorator_list
        if isinstance(mark, ast.Call)
        for word in mark.keywords
        if word.arg == "params"
    ]
    param = f"list({ast.unparse(given[0])})[0]" if given else "None"
    return ast.parse(f"request = __import__('types').SimpleNamespace(param={param})").body[0]


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
    plain.body = [_undecorated(one) for one in plain.body] or [ast.Pass()]
    setup = [f"{name}.{one}()" for one in ("setUp", "setup_method") if one in own]
    return [plain, *ast.parse("\n".join([f"{name} = {owner.name}()", *setup])).body]


def _undecorated(node: ast.stmt) -> ast.stmt:
    """A method without a mark of pytest, which would hide it."""
    if isinstance(node, FunctionNode) and any("pytest" in ast.unparse(one) for one in node.decorator_list):
        node = copy.copy(node)
        node.decorator_list = []
    return node


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _call(
    given: list[str], named: set[str], before: list[ast.stmt], seen: ast.expr, file: _File
) -> Call | None:
    """A call of what a test looks at; ``given`` binds what the test takes and names ``named``."""
    setup, expression, args = with_placeholders(before, seen)
    needed = _needed(file, named | _read_names([*setup, expression]))
    try:
        if any(_waits(node) for node in (*setup, expression)):
            setup, expression = [_coroutine(setup, expression)], ast.parse("in_test()", mode="eval").body
        lines = [*(one.text for one in needed), *given, *map(_text, setup)]
        return Call(0, "", _text(expression), args, tuple(lines), "", "test")
    except RecursionError:  # a test file may hold an expression that is nested too deep to be written
        return None


def _waits(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Await | ast.AsyncWith | ast.AsyncFor) for one in ast.walk(node))


def _coroutine(setup: list[ast.stmt], seen: ast.expr) -> ast.stmt:
    """What an asynchronous test does up to the expression it looks at, as a coroutine function."""
    made = ast.parse("async def in_test():\n    return None").body[0]
    assert isinstance(made, ast.AsyncFunctionDef)  # noqa: S101 - it was just written
    made.body = [*setup, ast.Return(seen)]
    return made


def _text(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _read_names(nodes: Iterable[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


def _needed(file: _File, names: set[str]) -> list[_Statement]:
    """The top-level statements that bind these names, and those that bind what they name, in the order of the file."""
    found: set[int] = set()
    todo, seen = list(names), set(names)
    while todo:
        statement = file.bindings.get(todo.pop())
        if statement is None or id(statement) in found:
            continue
        found.add(id(statement))
        new = statement.names - seen
        seen |= new
        todo += new
    unique = {id(one): one for one in file.bindings.values() if id(one) in found}
    return list(unique.values())
