"""Which options a function takes out of its ``**options``, and what it takes where they are missing. Reads source only."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import MappingProxyType

_MAX_OPTIONS = 12
_ANY_NAMES = ("a", "b")
"""Options for a function that takes any; the first one too for one that looks at all names, mostly for those that it does not know."""


def options_read(
    node: ast.AST, variable: str, texts: Mapping[str, str] = MappingProxyType({})
) -> dict[str, ast.expr | None]:
    """Name of an option -> its default, None for none: ``options["x"]``, ``options.get("x", 3)``, ``"x" in options``, and a
    helper that is given both, ``get_bool(options, "x", True)``. Two of any name where all options are read alike, and one where the
    others are looked at besides. ``texts``: name, or
    attribute of a class -> the text that it is bound to, which a key may be written by.
    """
    out: dict[str, ast.expr | None] = {}
    known = set[int]()
    for one in ast.walk(node):
        name, default = _read(_with_texts(one, texts), variable)
        known |= {id(part) for part in ast.walk(one)} if name else set()
        if name.isidentifier() and (name not in out or default is not None):
            out[name] = default
    if not _is_read(node, variable, known):
        return dict(list(out.items())[:_MAX_OPTIONS])
    if not out:
        return dict.fromkeys(_ANY_NAMES)
    return dict(list(out.items())[: _MAX_OPTIONS - 1]) | {_ANY_NAMES[0]: out.get(_ANY_NAMES[0])}


def variables_of_option(node: ast.AST, variable: str, name: str) -> tuple[str, ...]:
    """The variables that hold an option as it was taken out of ``**options``: what the body does with them tells what it is."""
    return tuple(
        target.id
        for one in ast.walk(node)
        if isinstance(one, ast.Assign) and _read(one.value, variable)[0] == name
        for target in one.targets
        if isinstance(target, ast.Name)
    )


def _with_texts(node: ast.AST, texts: Mapping[str, str]) -> ast.AST:
    """A node that reads a key with the text in the place of the name that it is bound to."""

    def text(one: ast.expr) -> ast.expr:
        known = texts.get(ast.unparse(one)) if isinstance(one, ast.Name | ast.Attribute) else None
        return one if known is None else ast.Constant(known)

    match node:
        case ast.Subscript(value=value, slice=key):
            return ast.Subscript(value, text(key), node.ctx)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return ast.Compare(text(left), ops, comparators)
        case ast.Call(func=func, args=[first, *rest], keywords=keywords):
            return ast.Call(func, [text(first), *map(text, rest[:1]), *rest[1:]], keywords)
    return node


def _is_read(node: ast.AST, variable: str, known: set[int]) -> bool:
    """Whether a body does more with its ``**options`` than to take ``known`` ones and to hand them on: it loops over them, or copies them."""
    handed_on = known | {
        id(word.value)
        for one in ast.walk(node)
        if isinstance(one, ast.Call)
        for word in one.keywords
        if word.arg is None
    }
    return any(
        isinstance(one, ast.Name) and one.id == variable and id(one) not in handed_on
        for one in ast.walk(node)
    )


def _read(node: ast.AST, variable: str) -> tuple[str, ast.expr | None]:
    match node:
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == variable:
            return key, None
        case ast.Compare(left=ast.Constant(value=str(key)), comparators=[ast.Name(id=name)]) if (
            name == variable
        ):
            return key, None
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id=name), attr="get" | "pop" | "setdefault"),
            args=[ast.Constant(value=str(key)), *rest],
        ) if name == variable:
            return key, rest[0] if rest else None
        case ast.Call(args=[ast.Name(id=name), ast.Constant(value=str(key)), *rest]) if name == variable:
            return key, rest[-1] if rest else None
    return "", None
