"""The lines of each changed function that a change touched, as a run of it visits them. Reads source only."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from kodo.jobs.execution.target import TargetModule


def visited_lines(module: TargetModule, function: str, touched: Collection[int]) -> tuple[int, ...]:
    """The lines of the statements of a function that stand on ``touched`` lines of its module, in order.

    Of a statement with others in it, such as an ``if``, only its head counts; its definition's own head does not, since no
    call visits that, and neither does its documentation.
    """
    found: set[int] = set()
    for node in module.definitions.get(function, ()):
        for statement in _statements(node.body):
            lines = _own_lines(statement)
            if _is_text(statement):
                continue
            if not lines.isdisjoint(touched):
                found |= lines
    return tuple(sorted(found))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those in them."""
    for statement in body:
        yield statement
        for inner in ast.walk(statement):
            if isinstance(inner, ast.stmt) and inner is not statement:
                yield inner


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a text and nothing else."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _own_lines(statement: ast.stmt) -> set[int]:
    """The lines of a statement without those of the statements in it."""
    last = statement.end_lineno or statement.lineno
    inner = [
        one.lineno
        for field in ("body", "orelse", "finalbody", "handlers", "cases")
        for one in getattr(statement, field, ())
        if isinstance(one, ast.stmt | ast.ExceptHandler)
    ]
    if isinstance(statement, ast.Match):
        inner += [case.pattern.lineno for case in statement.cases]
    return set(range(statement.lineno, min([last + 1, *inner])))
