"""Run what a frozen test looks at in both versions outside of a test runner, as it stands and with other values.

A patch that asks who is calling changes nothing here at all; what the results say otherwise is judged by
``generality``. Each call is made in a process of its own.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from kodo.jobs.execution.calls_of_tests import TestSource, calls_of_tests
from kodo.jobs.execution.model import Arg, Call, ExecutionError
from kodo.jobs.execution.sandboxed import WorkerEnded
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.fix.cross_check import Recorded
from kodo.jobs.fix.generality import ENOUGH, Comparison, Family, Trial
from kodo.jobs.fix.near_calls import EMPTY, arguments, looked_at, near_calls, wider_calls
from kodo.jobs.fix.new_conditions import new_conditions
from kodo.jobs.fix.reproduction import Reproduction, result_name
from kodo.jobs.fix.special_means import special_means
from kodo.jobs.fix.versions import Both, Known, Version, Versions
from kodo.jobs.review.languages import is_test
from kodo.sandbox import Sandbox

MAX_MODULES = 3
MAX_OWN = 8
FEW = 12
"""Calls that do something else; fewer are varied again, to see how far the change goes."""
CHECKED = 18
"""Changed calls that are made again under pytest, each in a process of its own."""
Near = tuple[int, Call, Both]
"""Which call of the test it is near, the call, and what both versions gave."""
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def compare_near(
    base: Path,
    tree: Path,
    changed: Sequence[str],
    frozen: Reproduction,
    sandbox: Sandbox,
    packages: Sequence[str],
    known: Known | None = None,
) -> Comparison | None:
    """Run what the frozen test looks at, and variations of it, in both versions.

    Args:
        base, tree: the project before and with the patch.
        changed: the paths that the patch changes.
        packages: folders of packages that the sandbox can read.
        known: what calls did before the patch, of an earlier patch of the same base; it grows.

    Returns:
        None where nothing of the test can be run without a test runner, or not all that it checks, or where too few
        calls with other values can be made to say anything.
    """
    modules = [
        path for path in changed if path.endswith(".py") and not is_test(path) and (base / path).is_file()
    ]
    own = list(_own_calls(frozen, base))[:MAX_OWN]
    if not own or not modules:
        return None
    known = {} if known is None else known
    texts = _texts(base, tree, changed)
    for path in modules[:MAX_MODULES]:
        try:
            before, after = load(base / path), load(tree / path)
            versions = Versions(
                Version(base, _location(before, base, frozen, packages), known),
                Version(tree, _location(after, tree, frozen, packages)),
                sandbox,
            )
            if found := _compared(versions, own):
                return replace(
                    found,
                    known=_constants(before.source),
                    added=special_means(*texts, frozen.text),
                    asked=new_conditions(*map(ast.parse, texts)),
                    expects_error=re.search(r"raises|except\b", frozen.text, re.IGNORECASE) is not None,
                )
        except WorkerEnded:
            return Comparison((), finished=False)
        except ExecutionError:
            continue
    return None


def _texts(base: Path, tree: Path, changed: Sequence[str]) -> tuple[str, str]:
    """What all files of the patch together were and are; a new file is a part of it."""
    paths = [path for path in changed if path.endswith(".py") and not is_test(path)]
    before, after = ("\n".join(_parsable(root / path) for path in paths) for root in (base, tree))
    return before, after


def _parsable(path: Path) -> str:
    """The text of a module; empty where there is none that can be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
        ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return ""
    return text


def _compared(versions: Versions, own: Sequence[Call]) -> Comparison | None:
    """The calls of the test, those near them, and where few of these do something else, those near the few."""
    families = near_calls(own)
    near, wider = [call for family in families for call in family], wider_calls(own)
    ran, finished = versions.run([*own, *near, *wider])
    if finished and not any(at in ran for at in range(len(own))):
        return None
    whose = [at for at, family in enumerate(families) for _ in family]
    start, end = len(own), len(own) + len(near)
    found = [(whose[at - start], near[at - start], ran[at]) for at in ran if start <= at < end]
    found += _varied_again(versions, found, [*own, *near])
    seen = [(at, call, ran[at]) for at, call in enumerate(own) if at in ran]
    rows = [
        Family(
            _trial(call, call, both),
            tuple(_trial(call, one, other) for of, one, other in found if of == at),
            looked_at(call),
            bool(arguments(call)),
        )
        for at, call, both in seen
    ]
    others = tuple(_trial(call, call, ran[end + at]) for at, call in enumerate(wider) if end + at in ran)
    if finished and len(found) + len(others) < ENOUGH:
        return None
    return Comparison(
        tuple(rows),
        others,
        finished=finished or len(found) >= ENOUGH,
        recorded=Recorded(versions.after.where, tuple(_checked(seen, found))),
    )


def _checked(own: Sequence[Near], near: Sequence[Near]) -> Iterator[tuple[Call, Outcome]]:
    """The calls that are made again under pytest, with what they gave: the test's, those that changed, and some that did not."""
    changed = [one for one in near if one[2].differs]
    left = [one for one in near if not one[2].differs]
    for some, most in ((own, len(own)), (changed, CHECKED), (left, CHECKED // 3)):
        yield from ((call, both.after) for _, call, both in some[:: max(1, -(-len(some) // max(1, most)))])


def _varied_again(versions: Versions, found: Sequence[Near], known: Sequence[Call]) -> list[Near]:
    """The calls near those that do something else, where these are few, to see how far the change goes."""
    few = [(at, call) for at, call, both in found if both.differs]
    if not 0 < len(few) < FEW:
        return []
    again = near_calls([call for _, call in few], known)
    more = [(at, call) for (at, _), family in zip(few, again, strict=True) for call in family]
    ran, _ = versions.run([call for _, call in more])
    return [(*more[at], both) for at, both in ran.items()]


def _trial(own: Call, call: Call, both: Both) -> Trial:
    values = tuple(arg.source for arg in call.args)
    aside = any(values[at] != arg.source for at, arg in enumerate(own.args) if at not in looked_at(own))
    before, after = both.before, both.after
    return Trial(
        values,
        aside,
        both.differs,
        _shown(before),
        _shown(after),
        before.kind != "value",
        after.kind != "value",
        after.accident,
    )


def _shown(outcome: Outcome) -> str:
    """The result as source or text, or the name of the error."""
    return outcome.parts.get("result", outcome.parts.get("raises", outcome.kind))


def _constants(source: str) -> frozenset[str]:
    return frozenset(
        repr(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)
    )


def _location(
    module: TargetModule, root: Path, frozen: Reproduction, packages: Sequence[str]
) -> ModuleLocation:
    root = root.resolve()
    return ModuleLocation(
        module.path.relative_to(root).as_posix(),
        module.import_root.relative_to(root).as_posix(),
        module.name,
        "",
        tuple(sorted(module.defined)),
        (frozen.path.rpartition("/")[0], "src", *packages),
        module.imported,
    )


def _own_calls(frozen: Reproduction, base: Path) -> Iterator[Call]:
    """What the frozen test looks at; nothing where a check of it cannot be seen from outside, or it is a doctest in a text."""
    if not frozen.path.endswith(".py"):
        return
    tree = ast.parse(frozen.text)
    wanted = frozen.name.partition("[")[0].removeprefix(result_name(frozen.path)).strip(".").split(".")
    found = _tests(tree, [part for part in wanted if part])
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
