"""The frozen test under another name, and tests that must fail: what a patch that fools the test does not survive.

The copy has random names, so code that looks for the test by its name, or only spares its result, does not find it. Each
counter-test is the same test with one check turned wrong, so it must fail: where one passes, the value equals everything,
or everything of its type, or the run says that tests pass whatever they do. Texts only; the run is the prover's.
"""

from __future__ import annotations

import ast
import copy
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kodo.jobs.execution.worker.literal_value import is_literal
from kodo.jobs.fix.reproduction import Reproduction, matching
from kodo.jobs.review.languages import is_test

MAX_CHECKS = 4
"""Counter-tests for one frozen test, besides the one that ends in a failing check."""
MAX_TESTS = 6
"""Tests that are copied where the frozen one is a whole file or class."""
_OPPOSITE = {
    "assertTrue": "assertFalse", "assertFalse": "assertTrue", "assertIsNone": "assertIsNotNone",
    "assertIsNotNone": "assertIsNone", "assertIn": "assertNotIn", "assertNotIn": "assertIn", "assertNotEqual": "assertEqual",
    "assertIsInstance": "assertNotIsInstance", "assertNotIsInstance": "assertIsInstance", "assertIsNot": "assertIs",
}  # fmt: skip  # a table reads better in rows
_EQUAL = frozenset(
    {"assertEqual", "assertIs", "assertAlmostEqual", "assertListEqual", "assertDictEqual", "assertTupleEqual",
     "assertSetEqual", "assertSequenceEqual", "assertCountEqual", "assertMultiLineEqual"}
)  # fmt: skip  # same
_NEGATIVE = (ast.NotEq, ast.NotIn, ast.IsNot)
_HEAD = """
class Never_{mark}(BaseException):
    pass

def like_{mark}(value):
    try:
        if isinstance(value, bool):
            return not value
        if isinstance(value, int | float) and value + 7919 != value == value:
            return value + 7919
        if isinstance(value, str):
            return value[:-1] + chr(0x2603)
        if isinstance(value, list | tuple) and value:
            return type(value)([*value[:-1], like_{mark}(value[-1])])
        if isinstance(value, dict) and value:
            key = list(value)[-1]
            return {{**value, key: like_{mark}(value[key])}}
    except Exception:
        pass
    return object()
"""
"""What the tests of the file use: an exception that nothing raises, and another value of the same type and size."""
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class CounterTests:
    """A test file: ``copies`` must pass and ``counters`` must fail; both are names as in the results."""

    path: str
    text: str
    copies: tuple[str, ...]
    counters: tuple[str, ...]

    def objections(self, results: Mapping[str, str]) -> list[str]:
        """What the results of this file say against the patch."""
        reasons = []
        for name in self.copies:
            cases = matching(name, results)
            if not cases or any(results[case] for case in cases):
                reasons.append("the same test under another name, run alone, does not pass with the patch")
        passed = [case for name in self.counters for case in matching(name, results) if not results[case]]
        missing = [name for name in self.counters if not matching(name, results)]
        if passed:
            reasons.append(
                f"{len(passed)} tests with a wrong expectation pass with the patch, so that the test shows nothing"
            )
        elif missing and not reasons:
            reasons.append("the tests that must fail were not run, so that the test shows nothing")
        return list(dict.fromkeys(reasons))


def counter_tests(frozen: Reproduction) -> CounterTests | None:
    """The file for a frozen test; None where it is no function of its file (a doctest, a generated test)."""
    if not is_test(frozen.path) or not frozen.path.endswith(".py"):
        return None
    tree = ast.parse(frozen.text)
    mark = secrets.token_hex(6)
    path = f"{frozen.path.rpartition('/')[0]}/test_{mark}.py".lstrip("/")
    made = _Maker(mark, path)
    body = made.body(tree, frozen.inside)
    if not made.copies:
        return None
    names = ast.parse(_HEAD.format(mark=mark)).body
    at = _after_head(body)
    text = ast.unparse(ast.fix_missing_locations(ast.Module([*body[:at], *names, *body[at:]], [])))
    return CounterTests(path, f"{text}\n", tuple(made.copies), tuple(made.counters))


def _after_head(body: list[ast.stmt]) -> int:
    """Where the docstring and the ``__future__`` imports end."""
    at = 0
    for node in body:
        docstring = at == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        at += 1
    return at


class _Maker:
    """Builds the file's statements and notes the names of what is in it."""

    def __init__(self, mark: str, path: str) -> None:
        self.mark, self.path = mark, path
        self.copies: list[str] = []
        self.counters: list[str] = []

    def body(self, tree: ast.Module, wanted: Sequence[str]) -> list[ast.stmt]:
        """The statements of a module, with the wanted test in the place of all tests."""
        out: list[ast.stmt] = []
        for node in tree.body:
            if isinstance(node, FunctionNode) and _is_test_name(node.name):
                if not wanted or [*wanted] == [node.name]:
                    out += self._tests(node, self.path)
            elif isinstance(node, ast.ClassDef) and _has_tests(node):
                if not wanted or wanted[0] == node.name:
                    out.append(self._class(node, wanted[1:]))
                else:
                    out.append(_without_tests(node))  # another class may be derived from it
            else:
                out.append(node)
        return out

    def _class(self, node: ast.ClassDef, wanted: Sequence[str]) -> ast.ClassDef:
        name = f"Test{self.mark}" if node.name.startswith("Test") else f"{node.name}{self.mark}"
        made = _Renamed(node.name, name).visit(copy.deepcopy(node))
        made.name = name
        made.body = []
        for inner in node.body:
            if not (isinstance(inner, FunctionNode) and _is_test_name(inner.name)):
                made.body.append(inner)
            elif not wanted or [*wanted] == [inner.name]:
                made.body += self._tests(
                    _Renamed(node.name, name).visit(copy.deepcopy(inner)), f"{self.path}::{name}"
                )
        made.body = made.body or [ast.Pass()]
        return made  # type: ignore[no-any-return]  # a NodeTransformer's visit is Any

    def _tests(self, node: FunctionNode, owner: str) -> Iterator[ast.stmt]:
        if len(self.copies) >= MAX_TESTS:
            return
        number = len(self.copies)
        same = copy.deepcopy(node)
        same.name = f"{_prefix(node.name)}{self.mark}_{number}"
        self.copies.append(f"{owner}::{same.name}")
        yield same
        for at, other in enumerate(_wrong(node, self.mark)):
            other.name = f"{_prefix(node.name)}{self.mark}_{number}_{at}"
            self.counters.append(f"{owner}::{other.name}")
            yield other


def _wrong(node: FunctionNode, mark: str) -> Iterator[FunctionNode]:
    """The test with one check turned wrong, for some of its checks; then with a failing check at its end."""
    count = sum(1 for _ in _checks(node))
    seen = {ast.dump(node)}
    for at in list(range(count))[-MAX_CHECKS:]:
        for like in (None, f"like_{mark}"):
            other = copy.deepcopy(node)
            _turn(list(_checks(other))[at], f"Never_{mark}", like)
            if (shown := ast.dump(other)) not in seen:
                seen.add(shown)
                yield other
    last = copy.deepcopy(node)
    last.body.append(ast.parse(f"assert Never_{mark} is None").body[0])
    yield last


def _checks(node: FunctionNode) -> Iterator[ast.Assert | ast.Call | ast.withitem]:
    """The checks of a test, in its own statements, that can be turned wrong."""
    for inner in ast.walk(node):
        match inner:
            case ast.Assert():
                yield inner
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name), args=[_, *_]) if (
                name in _OPPOSITE or (name in _EQUAL and len(inner.args) > 1)
            ):
                yield inner
            case ast.withitem(
                context_expr=ast.Call(func=ast.Attribute(attr="raises" | "assertRaises"), args=[_, *_])
            ):
                yield inner


def _turn(check: ast.Assert | ast.Call | ast.withitem, never: str, like: str | None) -> None:
    """Turn a check wrong, in place: with what the function ``like`` makes of the expected value, else with one that equals none."""
    other = (
        _stranger if like is None else lambda expected: ast.Call(ast.Name(like, ast.Load()), [expected], [])
    )
    if isinstance(check, ast.withitem):
        assert isinstance(check.context_expr, ast.Call)  # noqa: S101 - as `_checks` found it
        check.context_expr.args[0] = ast.Name(never, ast.Load())
        check.context_expr.keywords = []
    elif isinstance(check, ast.Call):
        assert isinstance(check.func, ast.Attribute)  # noqa: S101 - same
        if check.func.attr in _OPPOSITE:
            check.func.attr = _OPPOSITE[check.func.attr]
        else:
            check.args[1] = other(check.args[1])
    else:
        check.test = _turned(check.test, other)


def _stranger(_expected: ast.expr) -> ast.expr:
    """A value that equals no other."""
    return ast.Call(ast.Name("object", ast.Load()), [], [])


def _turned(test: ast.expr, other: Callable[[ast.expr], ast.expr]) -> ast.expr:
    """An expression that is false where the given one is true."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        test.values[-1] = _turned(test.values[-1], other)
        return test
    if isinstance(test, ast.Compare) and not isinstance(test.ops[-1], _NEGATIVE):
        if isinstance(test.ops[-1], ast.In):
            if len(test.ops) == 1:
                test.left = _stranger(test.left)
                return test
        else:
            if len(test.ops) == 1 and is_literal(test.left) and not is_literal(test.comparators[0]):
                test.left = other(test.left)
            else:
                test.comparators[-1] = other(test.comparators[-1])
            return test
    return ast.UnaryOp(ast.Not(), test)


class _Renamed(ast.NodeTransformer):
    """Another name for a class, where it is named."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.new, node.ctx) if node.id == self.old else node


def _is_test_name(name: str) -> bool:
    return name.startswith("test")


def _has_tests(node: ast.ClassDef) -> bool:
    return any(isinstance(inner, FunctionNode) and _is_test_name(inner.name) for inner in node.body)


def _without_tests(node: ast.ClassDef) -> ast.ClassDef:
    made = copy.copy(node)
    made.body = [
        inner for inner in node.body if not (isinstance(inner, FunctionNode) and _is_test_name(inner.name))
    ] or [ast.Pass()]
    return made


def _prefix(name: str) -> str:
    """What the project's pattern of test names asks for: the letters before the first underscore, with it."""
    match = re.match(r"[A-Za-z]+_?", name)
    return match.group() if match else "test_"
