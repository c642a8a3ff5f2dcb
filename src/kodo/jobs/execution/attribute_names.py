"""The names of attributes that the classes of a module give their instances. Reads source only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_PROPERTIES = ("property", "cached_property")


def one_sided_attributes(before: ast.Module, after: ast.Module) -> set[str]:
    """The attributes that the classes of only one of two versions have: that they came or went, the change itself shows."""
    return set(_attributes(before)) ^ set(_attributes(after))


def _attributes(tree: ast.Module) -> Iterator[str]:
    """What is bound in classes, set on ``self`` or named in ``__slots__``."""
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in owner.body:
            yield from _bound(node)
        for one in ast.walk(owner):
            if (
                isinstance(one, ast.Attribute)
                and isinstance(one.ctx, ast.Store)
                and isinstance(one.value, ast.Name)
                and one.value.id == "self"
            ):
                yield one.attr


def _bound(node: ast.stmt) -> Iterator[str]:
    """The attributes that a statement of a class body makes, without methods."""
    if isinstance(node, ast.FunctionDef):
        decorators = [ast.unparse(one).rpartition(".")[2] for one in node.decorator_list]
        if any(name in _PROPERTIES for name in decorators):
            yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [one.id for one in targets if isinstance(one, ast.Name)]
        if names == ["__slots__"] and node.value is not None:
            for one in ast.walk(node.value):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value
        else:
            yield from names
