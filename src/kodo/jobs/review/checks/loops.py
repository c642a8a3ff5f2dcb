"""Loops that go wrong: indexes past the end, and collections that change while the loop iterates over them."""

import ast
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_line, report_node
from kodo.jobs.review.python import ParsedModule, dotted

_RESIZING = ("append", "extend", "insert", "pop", "remove", "clear")


def _len_of(node: ast.AST) -> str:
    """``xs`` for ``len(xs)``, else ""."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "len"
        and len(node.args) == 1
    ):
        return dotted(node.args[0])
    return ""


def _len_and_more(node: ast.AST) -> tuple[str, int]:
    """(``xs``, n) for ``len(xs) + n``; ("", 0) for anything else."""
    if name := _len_of(node):
        return name, 0
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, (ast.Add, ast.Sub))
        and isinstance(node.right, ast.Constant)
    ):
        name, value = _len_of(node.left), node.right.value
        if name and isinstance(value, int):
            return name, value if isinstance(node.op, ast.Add) else -value
    return "", 0


def index_past_end(module: ParsedModule) -> Iterator[Candidate]:
    """``for i in range(len(xs) + 1): xs[i]``, ``xs[i + 1]`` up to the last index, ``xs[len(xs)]``, ``while i <= len(xs)``."""
    for node in module.nodes:
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and _len_of(node.slice) == dotted(node.value) != ""
        ):
            yield report_node(module, node, "past-the-end", ast.unparse(node), dotted(node.value))
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            yield from _range_past_the_end(module, node, node.target.id)
        elif isinstance(node, ast.While):
            yield from _while_past_the_end(module, node)


def _range_past_the_end(module: ParsedModule, loop: ast.For, index: str) -> Iterator[Candidate]:
    call = loop.iter
    if not isinstance(call, ast.Call) or dotted(call.func) != "range" or not 1 <= len(call.args) <= 2:
        return
    name, more = _len_and_more(call.args[-1])
    if not name or _changes(loop, name):
        return
    reach = _reach(loop, name, index)
    if not reach:
        return
    far = max(reach, key=lambda use: use[1])
    if more + far[1] > 0 and not _looks_first(loop, index):
        yield _from(module, loop, far[0], name)
    elif more < 0 and far[1] + more < 0 and len(call.args) == 1 and min(use[1] for use in reach) == 0:
        yield report_node(module, loop, "last-left-out", ast.unparse(call), name)


def _while_past_the_end(module: ParsedModule, loop: ast.While) -> Iterator[Candidate]:
    test = loop.test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.LtE):
        return
    index, (name, more) = dotted(test.left), _len_and_more(test.comparators[0])
    if index and name and more == 0 and not _changes(loop, name):
        for use, offset in _reach(loop, name, index):
            if offset == 0 and not _looks_first(loop, index):
                yield _from(module, loop, use, name)
                return


def _from(module: ParsedModule, loop: ast.For | ast.While, use: ast.Subscript, name: str) -> Candidate:
    """A candidate on the lines from a loop's head, which may be what changed, to the item it reads."""
    return report_line(loop.lineno, "past-the-end", ast.unparse(use), name, end_line=use.lineno)


def _reach(loop: ast.AST, name: str, index: str) -> list[tuple[ast.Subscript, int]]:
    """The items ``name[index + n]`` that a loop reads, with n."""
    found: list[tuple[ast.Subscript, int]] = []
    for node in ast.walk(loop):
        if isinstance(node, ast.Subscript) and dotted(node.value) == name and isinstance(node.ctx, ast.Load):
            at = node.slice
            if isinstance(at, ast.Name) and at.id == index:
                found.append((node, 0))
            elif isinstance(at, ast.BinOp) and isinstance(at.left, ast.Name) and at.left.id == index:
                value = at.right.value if isinstance(at.right, ast.Constant) else None
                if isinstance(value, int) and isinstance(at.op, (ast.Add, ast.Sub)):
                    found.append((node, value if isinstance(at.op, ast.Add) else -value))
    return found


def _looks_first(loop: ast.AST, index: str) -> bool:
    """Whether the loop compares its index, or catches IndexError: then nothing is certain."""
    tests = [node.test for node in ast.walk(loop) if isinstance(node, (ast.If, ast.IfExp))]
    tests += [value for node in ast.walk(loop) if isinstance(node, ast.BoolOp) for value in node.values]
    compared = any(
        isinstance(part, ast.Name) and part.id == index for test in tests for part in ast.walk(test)
        if not isinstance(test, ast.Subscript)
    )  # fmt: skip  # one test
    return compared or any(isinstance(node, ast.Try) for node in ast.walk(loop))


def _changes(loop: ast.AST, name: str) -> bool:
    """Whether a loop assigns the collection or calls something that alters its length."""
    for node in ast.walk(loop):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, (ast.Store, ast.Del)):
            return True
        if isinstance(node, ast.Call) and dotted(node.func) in {f"{name}.{method}" for method in _RESIZING}:
            return True
    return False


def removed_while_iterating(module: ParsedModule) -> Iterator[Candidate]:
    """``for x in xs: xs.remove(x)`` and its like over ``.keys()``, ``.items()`` (ruff's B909 sees the plain form only)."""
    for loop in module.nodes:
        if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call) or loop.iter.args:
            continue
        function = loop.iter.func
        if not isinstance(function, ast.Attribute) or function.attr not in {"keys", "items", "values"}:
            continue
        name = dotted(function.value)
        for node in ast.walk(loop):
            if name and _takes_out(node, name) and not _leaves_after(module, node):
                yield report_line(loop.lineno, "altered-while-iterating", name, end_line=loop.end_lineno or 0)
                break


def _takes_out(node: ast.AST, name: str) -> bool:
    """Whether a node is ``del name[...]`` or a call that takes items out of it."""
    if isinstance(node, ast.Delete):
        return any(
            isinstance(target, ast.Subscript) and dotted(target.value) == name for target in node.targets
        )
    return isinstance(node, ast.Call) and dotted(node.func) in {
        f"{name}.{method}" for method in ("pop", "popitem", "clear")
    }


def _leaves_after(module: ParsedModule, node: ast.AST) -> bool:
    """Whether the block that holds the node ends in break or return, so that the loop ends there."""
    statement: ast.AST = node
    for parent in (node, *module.ancestors(node)):
        if isinstance(parent, ast.stmt):
            statement = parent
            break
    holder = module.parents.get(statement)
    for name in ("body", "orelse"):
        block = getattr(holder, name, [])
        if isinstance(block, list) and statement in block:
            return isinstance(block[-1], (ast.Break, ast.Return, ast.Raise))
    return False


def fraction_as_index(module: ParsedModule) -> Iterator[Candidate]:
    """``xs[n / 2]``, ``range(n / 2)``: true division gives a float, which is not an index."""
    for node in module.nodes:
        at: list[ast.expr] = []
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            parts = (
                [node.slice.lower, node.slice.upper] if isinstance(node.slice, ast.Slice) else [node.slice]
            )
            at = [part for part in parts if part is not None]
            if not isinstance(node.slice, ast.Slice) and not any(
                _len_of(part) for part in ast.walk(node.slice)
            ):
                at = []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            at = node.args
        for part in at:
            if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div):
                yield report_node(module, part, "fraction-as-index", ast.unparse(part))


CHECKS = (index_past_end, removed_while_iterating, fraction_as_index)
