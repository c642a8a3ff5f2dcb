"""How a project's tests make instances: the constructor calls in them, with arguments that can be written down elsewhere.

Those are literals, names and calls of the project's own package, and variables that a test binds once to such a value.
Reads source only.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from kodo.jobs.execution.stated_facts import MAX_INSTANCES
from kodo.jobs.execution.worker.literal_value import is_literal

_MAX_SOURCE = 400
_MAX_DEPTH = 6


def instances_of_tests(
    trees: Iterable[ast.Module], classes: Collection[str], package: str = ""
) -> dict[str, tuple[str, ...]]:
    """Class -> the calls that make one, of different lengths first; at most 12 of a class.

    ``package`` is the project's outermost package, whose names may stand in the arguments, by its own name.
    """
    found: dict[str, dict[str, None]] = {}
    for tree in trees:
        imported = _imported(tree, package)
        for scope in _scopes(tree):
            writer = _Writer(classes, imported, _bound_once(scope))
            for node in _own_calls(scope):
                if (name := writer.class_of(node)) and (source := writer.write(node)):
                    found.setdefault(name, {})[source] = None
    return {name: _spread(sorted(sources, key=len)) for name, sources in found.items()}


def _spread(sources: list[str]) -> tuple[str, ...]:
    step = max(1, len(sources) // MAX_INSTANCES)
    return tuple(sources[::step][:MAX_INSTANCES])


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and every function in it."""
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of functions inside it."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)


def _own_calls(scope: ast.AST) -> list[ast.Call]:
    return [node for node in _own_nodes(scope) if isinstance(node, ast.Call)]


def _bound_once(scope: ast.AST) -> dict[str, ast.expr]:
    """The variables that a scope binds once, by a plain assignment, and to what."""
    nodes = list(_own_nodes(scope))
    stored = Counter(
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {
        node.targets[0].id: node.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if len(node.targets) == 1 and stored[node.targets[0].id] == 1
    }


def _imported(tree: ast.Module, package: str) -> dict[str, str]:
    """Name that a test file imports from the project's package -> what it is, dotted from the package on."""
    out: dict[str, str] = {}
    for node in ast.walk(tree) if package else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == package:
                    out[alias.asname or package] = alias.name if alias.asname else package
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package:
            out |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return out


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the expressions of one scope as the changed module can evaluate them; "" for what it cannot."""

    classes: Collection[str]
    imported: Mapping[str, str]
    variables: Mapping[str, ast.expr]

    def class_of(self, node: ast.Call) -> str:
        """The class that a call makes an instance of by its own name, ``C(1)`` or ``module.C(1)``; "" for another call."""
        match node.func:
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name) if name in self.classes:
                return name
        return ""

    def write(self, node: ast.expr, depth: int = 0) -> str:
        """An expression with the module's own names and those of its package."""
        if depth > _MAX_DEPTH:
            return ""
        source = ast.unparse(node)
        if len(source) <= _MAX_SOURCE and is_literal(source):
            return source
        match node:
            case ast.Call():
                written = self._call(node, depth)
            case ast.Name(id=name) if name in self.variables:
                written = self.write(self.variables[name], depth + 1)
            case ast.Name() | ast.Attribute():
                written = self._name(node)
            case _:
                written = ""
        return written if len(written) <= _MAX_SOURCE else ""

    def _call(self, node: ast.Call, depth: int) -> str:
        function = self.class_of(node) or self._name(node.func)
        if not function or any(word.arg is None for word in node.keywords):
            return ""
        given = [self.write(one, depth + 1) for one in node.args]
        named = [(word.arg, self.write(word.value, depth + 1)) for word in node.keywords]
        if not all(given) or not all(value for _, value in named):
            return ""
        return f"{function}({', '.join([*given, *(f'{key}={value}' for key, value in named)])})"

    def _name(self, node: ast.expr) -> str:
        """A dotted name of the package, or a class; "" for another."""
        root, dot, rest = ast.unparse(node).partition(".")
        if root in self.imported and (not rest or rest.replace(".", "").replace("_", "a").isalnum()):
            return self.imported[root] + dot + rest
        return root if root in self.classes and not rest else ""
