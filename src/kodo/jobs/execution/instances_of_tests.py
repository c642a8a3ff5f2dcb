"""How a project's tests make instances: the constructor calls in them whose arguments are literals or such calls themselves.

Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable

from kodo.jobs.execution.stated_facts import MAX_INSTANCES, is_literal

_MAX_SOURCE = 400


def instances_of_tests(trees: Iterable[ast.Module], classes: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Class -> the calls that make one, of different lengths first; at most 12 of a class."""
    found: dict[str, dict[str, None]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (source := _written(node, classes)):
                found.setdefault(_class_of(node, classes), {})[source] = None
    return {name: _spread(sorted(sources, key=len)) for name, sources in found.items()}


def _spread(sources: list[str]) -> tuple[str, ...]:
    step = max(1, len(sources) // MAX_INSTANCES)
    return tuple(sources[::step][:MAX_INSTANCES])


def _class_of(node: ast.Call, classes: Collection[str]) -> str:
    """The class that a call makes an instance of by its own name, ``C(1)`` or ``module.C(1)``; "" for another call."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name) if name in classes:
            return name
    return ""


def _written(node: ast.expr, classes: Collection[str]) -> str:
    """A call as the module's own names write it; "" where an argument is neither a literal nor such a call."""
    if isinstance(node, ast.Call):
        name = _class_of(node, classes)
        if not name or any(word.arg is None for word in node.keywords):
            return ""
        given = [_written(one, classes) for one in node.args]
        named = [(word.arg, _written(word.value, classes)) for word in node.keywords]
        if not all(given) or not all(value for _, value in named):
            return ""
        source = f"{name}({', '.join([*given, *(f'{key}={value}' for key, value in named)])})"
        return source if len(source) <= _MAX_SOURCE else ""
    source = ast.unparse(node)
    return source if len(source) <= _MAX_SOURCE and is_literal(source) else ""
