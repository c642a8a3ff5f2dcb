"""Functions and classes that a test makes inside itself, as the statements and expressions of its file that made them.

A lambda is an expression, an inner function or class a statement. What they take from around them is given by name, so
that whoever writes them can write that too. Reads source and closures; runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_LOCAL = "<locals>"
_LAMBDA = "<lambda>"


class Definition(NamedTuple):
    """A definition without what is around it: ``outer`` are the objects that its names mean there.

    ``node`` is a lambda, or the statement that binds ``name``.
    """

    node: ast.Lambda | ast.FunctionDef | ast.ClassDef
    name: str
    outer: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LocalDefinitions:
    """Finds the definitions in files that ``is_test`` says are tests; for anything else there are none."""

    is_test: Callable[[str], bool]

    def of(self, value: object) -> Definition | None:
        """The definition that made a function or class inside a test; None where it is not known for certain."""
        if isinstance(value, types.FunctionType):
            return self._function(value)
        return self._class(value) if isinstance(value, type) and _LOCAL in value.__qualname__ else None

    def holds(self, kind: type) -> bool:
        """Whether a class is defined in a test."""
        return self.is_test(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")

    def _function(self, value: types.FunctionType) -> Definition | None:
        code = value.__code__
        if not self.is_test(code.co_filename) or (code.co_name != _LAMBDA and _LOCAL not in code.co_qualname):
            return None
        nodes = [node for node in _functions(code.co_filename) if _made(node, code)]
        if len(nodes) != 1 or _rebinds_outer(nodes[0]):
            return None
        name = "" if code.co_name == _LAMBDA else code.co_name
        outer = _outer(nodes[0], [value], value.__globals__)
        return Definition(nodes[0], name, outer) if outer is not None else None

    def _class(self, value: type) -> Definition | None:
        module = sys.modules.get(value.__module__)
        if module is None or not self.holds(value):
            return None
        nodes = [node for node in _classes(str(module.__file__)) if node.name == value.__name__]
        if len(nodes) != 1 or _rebinds_outer(nodes[0]):
            return None
        methods = [one for held in vars(value).values() for one in _inner_functions(held)]
        around = {base.__name__: base for base in value.__bases__} | vars(module)
        outer = _outer(nodes[0], methods, around)
        return Definition(nodes[0], value.__name__, outer) if outer is not None else None


def _inner_functions(held: object) -> Iterator[types.FunctionType]:
    """The functions behind an attribute of a class: itself, of a class or static method, of a property."""
    for one in (held, *(getattr(held, name, None) for name in ("__func__", "fget", "fset"))):
        if isinstance(one, types.FunctionType):
            yield one


def _outer(
    node: ast.AST, functions: Iterable[types.FunctionType], around: Mapping[str, object]
) -> dict[str, object] | None:
    """What the names in a definition mean that it does not bind itself; None where one of them is not known."""
    closed: dict[str, object] = {}
    for function in functions:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                closed[name] = cell.cell_contents
            except ValueError:  # bound after the function was used
                return None
    found: dict[str, object] = {}
    for name in _read(node):
        if name in closed:
            found[name] = closed[name]
        elif name in around:
            found[name] = around[name]
        elif not hasattr(builtins, name):
            return None
    return found


def _read(node: ast.AST) -> set[str]:
    """The names that a definition reads and does not bind anywhere in itself."""
    inner = list(ast.walk(node))
    bound = {one.arg for one in inner if isinstance(one, ast.arg)}
    bound |= {one.id for one in inner if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
    bound |= {
        one.name for one in inner if isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    bound |= {one.name for one in inner if isinstance(one, ast.ExceptHandler) and one.name}
    bound |= {
        (one.asname or one.name).partition(".")[0]
        for some in inner
        if isinstance(some, ast.Import | ast.ImportFrom)
        for one in some.names
    }
    return {one.id for one in inner if isinstance(one, ast.Name)} - bound - {"__class__"}


def _rebinds_outer(node: ast.AST) -> bool:
    """Whether a definition binds names around it, which it can do at its own place only."""
    return any(isinstance(one, ast.Nonlocal | ast.Global) for one in ast.walk(node))


def _made(node: ast.Lambda | ast.FunctionDef, code: types.CodeType) -> bool:
    """Whether a node is what a code object was compiled from, by its place in the file."""
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        return node.name == code.co_name and first == code.co_firstlineno
    if code.co_name != _LAMBDA:
        return False
    body, ends = node.body, (node.body.end_lineno, node.body.end_col_offset)
    places = {(line, end, start, last) for line, end, start, last in code.co_positions()}
    return (body.lineno, ends[0], body.col_offset, ends[1]) in places


@lru_cache(maxsize=64)
def _tree(path: str) -> ast.Module | None:
    try:
        return ast.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=64)
def _functions(path: str) -> tuple[ast.Lambda | ast.FunctionDef, ...]:
    tree = _tree(path)
    return (
        tuple(one for one in ast.walk(tree) if isinstance(one, ast.Lambda | ast.FunctionDef)) if tree else ()
    )


@lru_cache(maxsize=64)
def _classes(path: str) -> tuple[ast.ClassDef, ...]:
    tree = _tree(path)
    return tuple(one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)) if tree else ()
