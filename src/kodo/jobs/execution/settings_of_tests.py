"""What a project's tests set on objects that they made: ``shop.open = True``, ``app.config['DEBUG'] = True``.

What a function does may hang on the state of an object that it is given or is a method of, and a constructor gives it the state in which
nothing is set. Reads source only, and knows nothing of how an object is made.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from kodo.jobs.execution.worker.literal_value import is_literal

_MAX_SOURCE = 200
_MAX_VALUES = 8


def settings_of_tests(trees: Iterable[ast.Module]) -> dict[str, tuple[str, ...]]:
    """What stands after an object, such as ``.open`` or ``.config['DEBUG']`` -> the sources of the literals that tests set it to."""
    found: dict[str, dict[str, None]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            for place, value in _set_by(node):
                source = ast.unparse(value)
                if len(source) <= _MAX_SOURCE and is_literal(source):
                    found.setdefault(place, {})[source] = None
    return {place: tuple(sources)[:_MAX_VALUES] for place, sources in found.items()}


def settings_read(name: str, body: Iterable[ast.AST]) -> tuple[str, ...]:
    """What a body reads of the object ``name``, in the form of :func:`settings_of_tests`, without repeats."""
    found: dict[str, None] = {}
    for node in (inner for statement in body for inner in ast.walk(statement)):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=attr, ctx=ast.Load()) if owner == name:
                found[f".{attr}"] = None
            case (
                ast.Subscript(
                    value=ast.Attribute(value=ast.Name(id=owner), attr=attr),
                    slice=ast.Constant(value=key),
                    ctx=ast.Load(),
                )
                | ast.Call(
                    func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=owner), attr=attr), attr="get"),
                    args=[ast.Constant(value=key), *_],
                )
            ) if owner == name:
                found[f".{attr}[{key!r}]"] = None
    return tuple(found)


def _set_by(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What a statement sets of objects that have a name, and to what."""
    match node:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name() | ast.Attribute(), attr=attr)], value=value):
            yield f".{attr}", value
        case ast.Assign(
            targets=[ast.Subscript(value=ast.Attribute(attr=attr), slice=ast.Constant(value=key))],
            value=value,
        ):
            yield f".{attr}[{key!r}]", value
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=attr), attr="update"), keywords=words):
            yield from ((f".{attr}[{word.arg!r}]", word.value) for word in words if word.arg)
