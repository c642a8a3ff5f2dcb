"""Loops whose work grows with the square of their input, or that repeat what one step before them could do."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_node
from kodo.jobs.review.python import Function, ParsedModule, dotted, own_nodes

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_ONCE_PER_FUNCTION = frozenset({"text-grows"})


def slow_in_loop(module: ParsedModule) -> Iterator[Candidate]:
    """Report each node inside a loop that matches a row of ``SLOW_PATTERNS``."""
    reported: set[tuple[str, Function | None, str]] = set()
    for node in module.nodes:
        if not isinstance(node, _SLOW_KINDS) or not _in_loop(module, node):
            continue
        for kind, rule, subject_of in SLOW_PATTERNS:
            subject = subject_of(module, node) if isinstance(node, kind) else ""
            key = (rule, module.function_of(node), subject)
            if not subject or key in reported:
                continue
            if rule in _ONCE_PER_FUNCTION:
                reported.add(key)
            yield report_node(module, node, rule, subject)


def _compiled_pattern(module: ParsedModule, call: ast.Call) -> str:
    """The constant pattern that a call of ``re.compile`` compiles, else ""."""
    constant = call.args and isinstance(call.args[0], ast.Constant)
    return ast.unparse(call.args[0]) if constant and dotted(call.func) == "re.compile" else ""


def _list_head(module: ParsedModule, call: ast.Call) -> str:
    """The list whose first item ``pop(0)`` or ``insert(0, item)`` moves, else ""."""
    if (
        not isinstance(call.func, ast.Attribute)
        or not call.args
        or not isinstance(call.args[0], ast.Constant)
    ):
        return ""
    index = call.args[0].value
    if index != 0 or index is False or (call.func.attr, len(call.args)) not in {("pop", 1), ("insert", 2)}:
        return ""
    owner = dotted(call.func.value)
    return owner if owner and _is_list(module, call, owner) else ""


def _searched_list(module: ParsedModule, test: ast.Compare) -> str:
    """The list that ``in`` or ``not in`` searches, unless it is a short literal, else ""."""
    if not isinstance(test.ops[0], (ast.In, ast.NotIn)):
        return ""
    name = dotted(test.comparators[0])
    slow = name and _is_list(module, test, name) and not _small_list(module, test, name)
    return name if slow else ""


def _growing_text(module: ParsedModule, assignment: ast.AugAssign) -> str:
    """The string that ``+=`` extends, else ""."""
    name = dotted(assignment.target) if isinstance(assignment.op, ast.Add) else ""
    return name if name and _starts_as_text(module, assignment, name) else ""


def _copied_list(module: ParsedModule, assignment: ast.Assign) -> str:
    """The list that ``xs = xs + [item]`` copies, else ""."""
    value, target = assignment.value, dotted(assignment.targets[0])
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return ""
    return target if dotted(value.left) == target and isinstance(value.right, ast.List) else ""


SLOW_PATTERNS: tuple[tuple[type[ast.expr | ast.stmt], str, Callable[[ParsedModule, Any], str]], ...] = (
    (ast.Call, "compiled-in-loop", _compiled_pattern),
    (ast.Call, "list-head", _list_head),
    (ast.Compare, "list-searched", _searched_list),
    (ast.AugAssign, "text-grows", _growing_text),
    (ast.Assign, "list-copied", _copied_list),
)
"""Node type, rule, and the function that names what is slow (``""``: nothing); it gets nodes of its row's type only."""
_SLOW_KINDS = tuple(kind for kind, _, _ in SLOW_PATTERNS)


def _in_loop(module: ParsedModule, node: ast.AST) -> bool:
    """Whether a node runs once for each turn of a loop of its own function."""
    child = node
    for parent in module.ancestors(node):
        if isinstance(parent, _LOOPS):
            if isinstance(parent, ast.While) or child not in {parent.iter, parent.target}:
                return True
        elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            return False
        child = parent
    return False


def _values(module: ParsedModule, node: ast.AST, name: str) -> list[ast.expr]:
    """Everything that is assigned to a plain name in the function around a node (or in the module)."""
    scope: Function | ast.Module = module.function_of(node) or module.tree
    found: list[ast.expr] = []
    for part in own_nodes(scope):
        if isinstance(part, (ast.Assign, ast.AnnAssign)) and part.value is not None:
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            found += [part.value for target in targets if dotted(target) == name]
    return found


def _is_list(module: ParsedModule, node: ast.AST, name: str) -> bool:
    """Whether a name certainly is a list: all it is ever assigned is one, or its annotation says so."""
    values = _values(module, node, name)
    if values:
        return not _made_inside(module, node, values) and all(
            isinstance(value, (ast.List, ast.ListComp))
            or (isinstance(value, ast.Call) and dotted(value.func) in {"list", "sorted"})
            for value in values
        )
    function = module.function_of(node)
    arguments = [*function.args.args, *function.args.kwonlyargs] if function else []
    annotation = next((parameter.annotation for parameter in arguments if parameter.arg == name), None)
    return annotation is not None and ast.unparse(annotation).partition("[")[0].lower() in {
        "list",
        "typing.list",
    }


def _made_inside(module: ParsedModule, node: ast.AST, values: list[ast.expr]) -> bool:
    """Whether a value is made anew in each turn of a loop around the node."""
    around = {id(parent) for parent in module.ancestors(node) if isinstance(parent, _LOOPS)}
    return any(id(parent) in around for value in values for parent in module.ancestors(value))


def _small_list(module: ParsedModule, node: ast.AST, name: str) -> bool:
    values = _values(module, node, name)
    return any(isinstance(value, ast.List) and value.elts for value in values)


def _starts_as_text(module: ParsedModule, node: ast.AST, name: str) -> bool:
    values = _values(module, node, name)
    return bool(values) and all(
        isinstance(value, ast.Constant) and isinstance(value.value, str) for value in values
    )


def query_in_loop(module: ParsedModule) -> Iterator[Candidate]:
    """A query sent in every turn of a loop (the n + 1 queries problem)."""
    for node in module.nodes:
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Attribute)
            or not _in_loop(module, node)
        ):
            continue
        first = node.args[0] if node.args else None
        text = first.value if isinstance(first, ast.Constant) else None
        selects = (
            isinstance(text, str)
            and text.lstrip()[:6].upper() == "SELECT"
            and node.func.attr in {"execute", "fetch", "fetchrow", "fetchone"}
        )
        finds = ".objects." in f"{dotted(node.func)}." and node.func.attr in {"get", "filter", "first"}
        if selects or finds:
            yield report_node(module, node, "query-in-loop", ast.unparse(node.func))


CHECKS = (slow_in_loop, query_in_loop)
