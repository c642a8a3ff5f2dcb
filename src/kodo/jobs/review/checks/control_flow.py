"""Where control goes: lines never reached, values that are None on this branch, a path without its return."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_line, report_node
from kodo.jobs.review.python import ParsedModule, dotted, own_nodes

_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_MAY_BE_NONE = frozenset(
    {"re.match", "re.search", "re.fullmatch", "shutil.which", "os.environ.get", "inspect.getmodule"}
)


def unreachable(module: ParsedModule) -> Iterator[Candidate]:
    """A statement after return, raise, continue or break in the same block."""
    for node in module.nodes:
        for block in _blocks(node):
            for one, following in pairwise(block):
                if isinstance(one, _ENDS) and not _makes_generator(following):
                    yield report_node(module, following, "unreachable", type(one).__name__.lower())
                    break


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def _makes_generator(statement: ast.stmt) -> bool:
    """``return; yield`` is how an empty generator is written."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Yield, ast.YieldFrom))


def none_on_this_branch(module: ParsedModule) -> Iterator[Candidate]:
    """``if x is None: x.attribute``, and the same by ``not x`` or in the else of ``x is not None``."""
    for node in module.nodes:
        if not isinstance(node, ast.If):
            continue
        name = is_none(node.test) or is_not_none(node.test)
        use = _used(node.body if is_none(node.test) else node.orelse, name) if name else None
        if use is not None:
            yield report_line(node.lineno, "none-used", name, end_line=use.lineno)


def is_none(test: ast.expr) -> str:
    """The name that ``test`` says is None, else ""."""
    return _compared(test, ast.Is)


def is_not_none(test: ast.expr) -> str:
    """The name that ``test`` says is not None, else ""."""
    return _compared(test, ast.IsNot)


def _compared(test: ast.expr, operator: type[ast.cmpop]) -> str:
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], operator):
        return ""
    right = test.comparators[0]
    return dotted(test.left) if isinstance(right, ast.Constant) and right.value is None else ""


def _used(block: Sequence[ast.stmt], name: str) -> ast.expr | None:
    """The first place in a block that takes an attribute or item of ``name`` before it is assigned again."""
    for statement in block:
        for node in ast.walk(statement):
            if not isinstance(node, (ast.Attribute, ast.Subscript)) or not isinstance(node.ctx, ast.Load):
                continue
            if dotted(node.value) == name and not _guarded(statement, node, name):
                return node
        if any(
            dotted(node) == name
            for node in ast.walk(statement)
            if isinstance(getattr(node, "ctx", None), ast.Store)
        ):
            return None
    return None


def _guarded(statement: ast.stmt, use: ast.AST, name: str) -> bool:
    """Whether the statement itself assigns or tests the name, so that nothing is certain."""
    return any(
        (isinstance(node, (ast.Assign, ast.NamedExpr, ast.For, ast.With, ast.AnnAssign)) and use is not node
         and any(dotted(part) == name and isinstance(getattr(part, "ctx", None), ast.Store) for part in ast.walk(node)))
        or (isinstance(node, (ast.If, ast.IfExp, ast.BoolOp)) and any(dotted(part) == name for part in ast.walk(node)))
        for node in ast.walk(statement)
    )  # fmt: skip  # the two cases side by side


def optional_used_at_once(module: ParsedModule) -> Iterator[Candidate]:
    """``re.match(...).group()``: the result may be None and is used without a look."""
    for node in module.nodes:
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.value, ast.Call):
            name = dotted(node.value.func)
            if name == "os.environ.get" and (len(node.value.args) > 1 or node.value.keywords):
                continue
            if name in _MAY_BE_NONE:
                yield report_node(module, node, "optional-used", name)


def missing_return(module: ParsedModule) -> Iterator[Candidate]:
    """A function annotated with a type that is not None, some path of which runs off its end."""
    for function in module.functions.values():
        if function.returns is None or _allows_none(function.returns) or _is_stub(function.body):
            continue
        if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(function)):
            continue
        if any(
            dotted(decorator).rpartition(".")[2] in {"abstractmethod", "overload"}
            for decorator in function.decorator_list
        ):
            continue
        if falls_through(function.body) and any(
            isinstance(node, ast.Return) and node.value for node in own_nodes(function)
        ):
            yield report_node(
                module, function, "missing-return", function.name, ast.unparse(function.returns)
            )


def _allows_none(annotation: ast.expr) -> bool:
    text = ast.unparse(annotation).strip("'\"")
    return any(
        word in text
        for word in ("None", "Optional", "Any", "NoReturn", "Never", "object", "Generator", "Iterator")
    )


def _is_stub(body: Sequence[ast.stmt]) -> bool:
    return all(isinstance(node, (ast.Pass, ast.Expr)) for node in body)


def falls_through(body: Sequence[ast.stmt]) -> bool:
    """Whether control can reach the end of a block; only the answer True is certain."""
    decide = FALLS_THROUGH.get(type(body[-1]))
    return decide is None or decide(body[-1])


def _never(node: ast.stmt) -> bool:
    return False


def _if_falls_through(node: ast.If) -> bool:
    return not node.orelse or falls_through(node.body) or falls_through(node.orelse)


def _while_falls_through(node: ast.While) -> bool:
    """An endless loop does not; a ``break`` in it may belong to an inner loop, so it decides nothing."""
    return not (isinstance(node.test, ast.Constant) and bool(node.test.value))


def _for_falls_through(node: ast.For | ast.AsyncFor) -> bool:
    breaks = any(isinstance(part, ast.Break) for part in ast.walk(node))
    return breaks or not node.orelse or falls_through(node.orelse)


def _try_falls_through(node: ast.Try | ast.TryStar) -> bool:
    if node.finalbody and not falls_through(node.finalbody):
        return False
    return falls_through(node.orelse or node.body) or any(
        falls_through(handler.body) for handler in node.handlers
    )


def _match_falls_through(node: ast.Match) -> bool:
    return any(falls_through(case.body) for case in node.cases) and _has_default(node)


FALLS_THROUGH: Mapping[type[ast.stmt], Callable[[Any], bool]] = {
    ast.Return: _never,
    ast.Raise: _never,
    ast.Continue: _never,
    ast.Break: _never,
    ast.With: _never,  # a context manager may or may not swallow an exception: not certain
    ast.AsyncWith: _never,
    ast.If: _if_falls_through,
    ast.While: _while_falls_through,
    ast.For: _for_falls_through,
    ast.AsyncFor: _for_falls_through,
    ast.Try: _try_falls_through,
    ast.TryStar: _try_falls_through,
    ast.Match: _match_falls_through,
    ast.Expr: lambda node: not isinstance(node.value, ast.Call),  # a call may never return: not certain
    ast.Assert: lambda node: not isinstance(node.test, ast.Constant),
}
"""By type of a block's last statement: whether control can leave it at its end. Types that are not here always do."""


def _has_default(match: ast.Match) -> bool:
    return any(isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in match.cases)


def handler_never_reached(module: ParsedModule) -> Iterator[Candidate]:
    """A narrower except after one that catches everything it could."""
    for node in module.nodes:
        if not isinstance(node, ast.Try):
            continue
        broad = ""
        for handler in node.handlers:
            if broad and handler.type is not None and not _beyond(handler.type, broad):
                yield report_node(module, handler, "handler-unreachable", ast.unparse(handler.type), broad)
            elif handler.type is not None and dotted(handler.type) in {"Exception", "BaseException"}:
                broad = dotted(handler.type)


def _beyond(caught: ast.expr, broad: str) -> bool:
    """Whether some caught class is not an ``Exception`` and so may get past ``except Exception``."""
    if broad == "BaseException":
        return False
    types = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    outside = {"BaseException", "KeyboardInterrupt", "SystemExit", "GeneratorExit", "CancelledError"}
    return any(dotted(one).rpartition(".")[2] in outside or not dotted(one) for one in types)


def same_condition_twice(module: ParsedModule) -> Iterator[Candidate]:
    """``if a: ... elif a: ...``: the second branch never runs. Also ``a and a``, and branches that do the same."""
    for node in module.nodes:
        if isinstance(node, ast.If):
            if _is_elif(module, node):
                continue
            seen: set[str] = set()
            link: ast.If | None = node
            while link is not None:
                text = ast.dump(link.test)
                if text in seen and not _calls(link.test):
                    yield report_node(module, link, "condition-twice", ast.unparse(link.test))
                seen.add(text)
                link = (
                    link.orelse[0] if len(link.orelse) == 1 and isinstance(link.orelse[0], ast.If) else None
                )
        elif isinstance(node, ast.BoolOp):
            texts = [ast.dump(value) for value in node.values]
            counts = Counter(texts)
            twice = next(
                (value for value, text in zip(node.values, texts, strict=True) if counts[text] > 1), None
            )
            if twice is not None and not _calls(twice):
                yield report_node(module, node, "operand-twice", ast.unparse(twice))


def _is_elif(module: ParsedModule, node: ast.If) -> bool:
    parent = module.parents.get(node)
    return isinstance(parent, ast.If) and parent.orelse == [node]


def _calls(node: ast.AST) -> bool:
    return any(isinstance(part, (ast.Call, ast.Await, ast.NamedExpr)) for part in ast.walk(node))


def contradictory_raise(module: ParsedModule) -> Iterator[Candidate]:
    """``if x: raise ValueError("x is required")``: the words say that it is missing, the test that it is there."""
    for node in module.nodes:
        if not isinstance(node, ast.If) or not node.body or not isinstance(node.body[0], ast.Raise):
            continue
        name = is_not_none(node.test) or dotted(node.test)
        error = node.body[0].exc
        if not name or not isinstance(error, ast.Call) or not error.args:
            continue
        words = ast.unparse(error.args[0]).lower()
        last = name.rpartition(".")[2].lower()
        if last in words and any(f"{last} {phrase}" in words for phrase in (
            "is required", "is missing", "must not be none", "must be set", "must be given", "cannot be none",
            "must not be empty", "cannot be empty", "is not set", "not found")):  # fmt: skip  # one test
            yield report_node(module, node, "contradictory-raise", name)


CHECKS = (
    unreachable,
    none_on_this_branch,
    optional_used_at_once,
    missing_return,
    handler_never_reached,
    same_condition_twice,
    contradictory_raise,
)
