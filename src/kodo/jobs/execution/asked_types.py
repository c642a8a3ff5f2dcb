"""What a body asks its values for: types, as ``isinstance(value, bytes)`` and ``type(value) is list``, and attributes.

What a value of an open type may be stands in such questions. Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from kodo.jobs.execution.param_types import ParamType, from_annotation

_MAX_TYPES = 8
_FILE, _ITERATOR = ParamType("file"), ParamType("iterator", (ParamType("str"),))
_ASKED_BY = {
    "callable": ParamType("callable"),
    "isgenerator": _ITERATOR,
    "isfunction": ParamType("callable"),
    "iscoroutinefunction": ParamType("callable"),
}
"""Function that asks something of a value -> the type for which the answer is yes."""
_BUILTIN_TYPES = frozenset(
    {"bool", "bytes", "dict", "float", "frozenset", "int", "list", "object", "set", "str", "tuple", "type"}
)
_LOOKS = frozenset({"hasattr", "getattr"})
_OF_FILES = frozenset({"read", "readline", "readlines", "write", "writelines", "seek", "tell", "getvalue"})
_HELD = dict.fromkeys(_OF_FILES, _FILE) | {"__next__": _ITERATOR, "__call__": ParamType("callable")}
"""Attribute that ``hasattr`` asks for -> a type that has it."""


def asked_types(
    body: Iterable[ast.AST], classes: frozenset[str], name: str | None = None
) -> tuple[ParamType, ...]:
    """The types in the order of the body, without repeats; of the variable ``name`` alone where it is given."""
    found = [
        type_
        for statement in body
        for node in ast.walk(statement)
        for value, kinds in _questions(node)
        if name is None or (isinstance(value, ast.Name) and value.id == name)
        for kind in _each(kinds)
        if (type_ := from_annotation(kind, classes)) is not None and type_.kind not in ("any", "none")
    ]
    same = [
        ParamType("literal", text=text)
        for statement in body
        for node in ast.walk(statement)
        for value, text in _compared(node, classes)
        if name is None or (isinstance(value, ast.Name) and value.id == name)
    ]
    return tuple(dict.fromkeys([*found[:_MAX_TYPES], *same[:_MAX_TYPES]]))


def _compared(node: ast.AST, classes: frozenset[str]) -> Iterator[tuple[ast.expr, str]]:
    """The value and the class, or the member of a class, that a node compares it with: ``kind is Scalar``, ``x in (int, Color.RED)``."""
    match node:
        case ast.Compare(
            left=left,
            ops=[ast.Is() | ast.Eq() | ast.IsNot() | ast.NotEq() | ast.In() | ast.NotIn()],
            comparators=[right],
        ) if not isinstance(left, ast.Call):
            for one in _each(right):
                owner = one.value if isinstance(one, ast.Attribute) else one
                if isinstance(owner, ast.Name) and (
                    owner.id in classes or (owner is one and owner.id in _BUILTIN_TYPES)
                ):
                    yield left, ast.unparse(one)


def read_attributes(name: str, body: Iterable[ast.AST]) -> tuple[str, ...]:
    """The public attributes of a variable that a body reads and does not call, also by ``getattr``; in order, without repeats."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    found: list[str] = []
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=attr, ctx=ast.Load()) if owner == name:
                found += [attr] if id(node) not in called else []
            case ast.Call(
                func=ast.Name(id="getattr"), args=[ast.Name(id=owner), ast.Constant(value=str(attr)), *_]
            ) if owner == name:
                found.append(attr)
    return tuple(dict.fromkeys(one for one in found if one.isidentifier() and not one.startswith("_")))[
        :_MAX_TYPES
    ]


def attributes_used(name: str, body: Iterable[ast.AST]) -> frozenset[str]:
    """The attributes of a variable that a body reads or calls, private ones and those of every object left out."""
    return frozenset(
        node.attr
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and not node.attr.startswith("__")
    )


def questions(name: str, body: Sequence[ast.AST], classes: frozenset[str]) -> tuple[ParamType, ...]:
    """What a body asks of a variable by name, so that it may be this as well: None, a function, a file, an iterator, an instance."""
    found: dict[ParamType, None] = {}
    for node in (inner for statement in body for inner in ast.walk(statement)):
        match node:
            case ast.Compare(
                left=ast.Name(id=asked), ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]
            ) if asked == name:
                found[ParamType("none")] = None
            case ast.Call(
                func=ast.Name(id=function) | ast.Attribute(attr=function), args=[ast.Name(id=asked), *more]
            ) if asked == name:
                word = more[0].value if more and isinstance(more[0], ast.Constant) else ""
                kind = _ASKED_BY.get(function) or (_HELD.get(str(word)) if function in _LOOKS else None)
                found |= {kind: None} if kind else {}
            case ast.Attribute(value=ast.Name(id=asked), attr=attr) if asked == name and attr in _OF_FILES:
                found[_FILE] = None
    return (*found, *asked_types(body, classes, name))


def _questions(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The value and the type, or the tuple of types, that a node asks it for."""
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[value, kinds]):
            yield value, kinds
        case ast.Compare(
            left=ast.Call(func=ast.Name(id="type"), args=[value]),
            ops=[ast.Is() | ast.Eq() | ast.IsNot() | ast.NotEq() | ast.In() | ast.NotIn()],
            comparators=[kinds],
        ):
            yield value, kinds


def _each(kinds: ast.expr) -> Iterator[ast.expr]:
    match kinds:
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                yield from _each(part)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _each(left)
            yield from _each(right)
        case _:
            yield kinds
