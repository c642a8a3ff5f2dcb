"""Objects that code talks to: connections, requests, applications, whatever a class keeps and calls methods of.

Nothing can make one from its source, so a mock takes its place: a ``MagicMock``, which takes any call, answers with further
mocks, and records its calls, which two versions are compared by.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import TypeGuard

from kodo.jobs.execution.param_types import ParamType

MOCK = ParamType("mock")
SOURCE = "mock.MagicMock()"
_ANSWERS = (
    "mock.AsyncMock(return_value=mock.MagicMock())"  # by itself it would give what only has methods to await
)
_NAMES = re.compile(
    r"(?:^|_)(?:app|application|request|req|response|stream|sock|socket|connection|conn|handler|server|client|session|"
    r"transport|protocol|loop|parent|context|ctx|environment|delegate|writer|reader|backend|engine|controller|manager)$"
)


def is_talked_to(name: str, body: Iterable[ast.AST], owner: Iterable[ast.AST] = ()) -> bool:
    """Whether a parameter is an object that is asked to do something, by its name or by what the body does with it; ``owner``
    are the statements of the class whose constructor keeps it, which may do so later.
    """
    if _NAMES.search(name.lower()):
        return True
    nodes = [node for statement in body for node in ast.walk(statement)]
    if any(isinstance(node, ast.Call) and _is_method_of(node.func, name) for node in nodes):
        return True
    kept = {
        target.attr
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == name
        for target in node.targets
        if isinstance(target, ast.Attribute)
    }
    return bool(kept) and any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr in kept
        for statement in owner
        for node in ast.walk(statement)
    )


def late_attributes(owner: ast.ClassDef, used: ast.AST) -> dict[str, tuple[str, ...]]:
    """The attributes that the constructor of a class leaves at None or False and that ``used`` reads of ``self``: another call sets
    them, mostly one that no made-up program makes. With each, sources of what it may be then; none where nothing says so.

    An object with attributes is a mock; what one of these is compared with in ``used``, it is in some of them.
    """
    left = _left_unset(owner)
    read = {node.attr: None for node in ast.walk(used) if _is_of_self(node) and node.attr in left}
    talked = {
        node.value.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute) and _is_of_self(node.value)
    }
    return {
        name: ("True",) if left[name] is False else _told_apart(name, used) if name in talked else ()
        for name in read
    }


def _left_unset(owner: ast.ClassDef) -> dict[str, bool | None]:
    """The attributes that the constructor of a class leaves at None or False, and which of these."""
    return {
        target.attr: node.value.value
        for one in owner.body
        if isinstance(one, ast.FunctionDef) and one.name == "__init__"
        for node in ast.walk(one)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if _is_of_self(target) and (node.value.value is None or node.value.value is False)
    }


def asked_answers(used: ast.AST) -> tuple[str, ...]:
    """The methods of attributes of ``self`` that decide in ``used`` what is done, each as ``stream.closed``: a mock's answer
    counts as true, so that the other way is only taken where it is told to answer otherwise.
    """
    tests = [
        one.test for one in ast.walk(used) if isinstance(one, ast.If | ast.While | ast.IfExp | ast.Assert)
    ]
    found = [
        f"{node.func.value.attr}.{node.func.attr}"
        for test in tests
        for node in ast.walk(test)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and _is_of_self(node.func.value)
    ]
    return tuple(dict.fromkeys(found))


def of_class(name: str, awaited: Iterable[str] = ()) -> str:
    """A mock that passes for an instance of a class; the calls ``awaited`` of it can be awaited."""
    return _written([f"__class__={name}"], awaited)


def awaitable(awaited: Iterable[str]) -> ParamType:
    """A mock whose calls ``awaited`` can be awaited."""
    return ParamType("literal", text=_written([], awaited)) if awaited else MOCK


def _written(given: list[str], awaited: Iterable[str]) -> str:
    plain = [one for one in awaited if one.isidentifier()]
    dotted = [f"{one!r}: {_ANSWERS}" for one in awaited if not one.isidentifier()]
    named = [f"{one}={_ANSWERS}" for one in plain]
    return f"mock.MagicMock({', '.join([*given, *named, *(['**{' + ', '.join(dotted) + '}'] if dotted else [])])})"


def _told_apart(name: str, used: ast.AST) -> tuple[str, ...]:
    """Mocks for an attribute of ``self``: one of which nothing is known, and one for each constant that an attribute of it is
    compared with.
    """
    out = {SOURCE: None}
    for node in ast.walk(used):
        match node:
            case ast.Compare(
                left=ast.Attribute(value=value, attr=attr), comparators=[ast.Constant() as constant, *_]
            ) if _is_of_self(value) and value.attr == name:
                out[f"mock.MagicMock({attr}={ast.unparse(constant)})"] = None
    return tuple(out)


def _is_of_self(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _is_method_of(node: ast.expr, name: str) -> bool:
    """Whether a called expression is a method of a variable, or of an attribute of it."""
    while isinstance(node, ast.Attribute):
        node = node.value
        if isinstance(node, ast.Name) and node.id == name:
            return True
    return False
