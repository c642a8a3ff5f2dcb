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
_NUMBERS = ("0", "1", "2", "-1")
_HELD = ("['b', 'c']", "'b'", "1", "None")
"""What is under a key that is asked for, of which nothing else is known."""
_NAMES = re.compile(
    r"(?:^|_)(?:app|application|request|req|response|stream|sock|socket|connection|conn|handler|server|client|session|"
    r"transport|protocol|loop|parent|context|ctx|environment|delegate|writer|reader|backend|engine|controller|manager)$"
)


def is_talked_to(name: str, body: Iterable[ast.AST], owner: Iterable[ast.AST] = ()) -> bool:
    """Whether a parameter is an object that is asked to do something: by what the body does with it, and only where that says
    nothing, by its name. ``owner`` are the statements of the class whose constructor keeps it, which may do so later.
    """
    nodes = [node for statement in body for node in ast.walk(statement)]
    if any(isinstance(node, ast.Call) and _is_method_of(node.func, name) for node in nodes):
        return True
    if any(_computes_with(node, name) for node in nodes):
        return False
    return _keeps_and_calls(name, nodes, owner) or bool(_NAMES.search(name.lower()))


def calls_methods(name: str, body: Iterable[ast.AST], owner: Iterable[ast.AST] = ()) -> bool:
    """Whether the code calls a method of a parameter, there or where the class keeps it, and computes with it nowhere in the body."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    if any(_computes_with(node, name) for node in nodes):
        return False
    is_called = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == name
        for node in nodes
    )
    return is_called or _keeps_and_calls(name, nodes, owner)


def _keeps_and_calls(name: str, nodes: Iterable[ast.AST], owner: Iterable[ast.AST]) -> bool:
    """Whether a constructor keeps a parameter in an attribute of which the class, whose statements are ``owner``, calls methods."""
    kept = {
        target.attr
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == name
        for target in node.targets
        if isinstance(target, ast.Attribute)
    }
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr in kept
        for statement in owner
        for node in ast.walk(statement)
    )


def _computes_with(node: ast.AST, name: str) -> bool:
    """Whether a node uses a variable as a plain value: in arithmetic, in a comparison of size, by an index, in a loop or in a text."""

    def is_it(*parts: ast.AST | None) -> bool:
        return any(isinstance(part, ast.Name) and part.id == name for part in parts)

    match node:
        case ast.BinOp(left=left, right=right):
            return is_it(left, right)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return is_it(left, *others) and any(
                isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops
            )
        case ast.Subscript(value=value, slice=index):
            return is_it(value, index)
        case ast.For(iter=value) | ast.comprehension(iter=value) | ast.FormattedValue(value=value):
            return is_it(value)
    return False


def late_attributes(owner: ast.ClassDef, used: ast.AST) -> dict[str, tuple[str, ...]]:
    """The attributes that the constructor of a class leaves at None or False and that ``used`` reads of ``self``: another call sets
    them, mostly one that no made-up program makes. With each, sources of what it may be then; none where nothing says so.

    An object with attributes is a mock; what one of these is compared with in ``used``, it is in some of them. Another attribute is
    what the methods of the class set it to, as far as that shows its kind: ``self.at = len(self) - 1`` sets a number.
    """
    left = _left_unset(owner)
    read = {node.attr: None for node in ast.walk(used) if _is_of_self(node) and node.attr in left}
    talked = {
        node.value.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute) and _is_of_self(node.value)
    }
    return {
        name: ("True",)
        if left[name] is False
        else _told_apart(name, used)
        if name in talked
        else _set_to(name, owner)
        for name in read
    }


def _set_to(name: str, owner: ast.ClassDef) -> tuple[str, ...]:
    """Sources of the kinds of values that the methods of a class set an attribute of ``self`` to; none where nothing says so."""
    found: dict[str, None] = {}
    for node in ast.walk(owner):
        if isinstance(node, ast.Assign) and any(
            _is_of_self(one) and one.attr == name for one in node.targets
        ):
            found |= dict.fromkeys(_alike(node.value))
    return tuple(found)


def _alike(value: ast.expr) -> tuple[str, ...]:
    """Sources of values of the kind of an expression, those that code tells apart; none where it does not show its kind."""
    match value:
        case ast.Constant(value=None):
            return ()
        case ast.Constant(value=bool()):
            return ("True", "False")
        case ast.Constant(value=int()) | ast.BinOp(right=ast.Constant(value=int())):
            return _NUMBERS
        case ast.Call(func=ast.Name(id="len" | "int" | "ord" | "round")):
            return _NUMBERS
        case ast.Constant():
            return (ast.unparse(value),)
        case ast.JoinedStr() | ast.Call(func=ast.Name(id="str")):
            return ("''", "'a'", "'1'")
        case ast.List() | ast.ListComp():
            return ("[]", "[1]", "['a', 'b']")
        case ast.Dict() | ast.DictComp():
            return ("{}", "{'a': 1}")
    return ()


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


def holding(name: str, body: Iterable[ast.AST], kind: str = "") -> tuple[str, ...]:
    """Mocks that hold what a body reads of a variable: a dict for an attribute that is asked for a key (``app.config["DEBUG"]``), a text
    for one that is read and not called; none where no attribute is asked for a key, since any mock will do then.
    ``kind`` is the class that they pass for an instance of.
    """
    nodes = [node for statement in body for node in ast.walk(statement)]
    keys: dict[str, dict[str, None]] = {}
    used = set()
    for node in nodes:
        match node:
            case (
                ast.Subscript(
                    value=ast.Attribute(value=ast.Name(id=owner), attr=attr),
                    slice=ast.Constant(value=str(key)),
                )
                | ast.Call(
                    func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=owner), attr=attr), attr="get"),
                    args=[ast.Constant(value=str(key)), *_],
                )
            ) if owner == name:
                keys.setdefault(attr, {})[key] = None
            case ast.Call(func=ast.Attribute() as called) | ast.Attribute(value=ast.Attribute() as called):
                used.add(id(called))
    read = {
        node.attr: "'a'"
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and id(node) not in used
        and node.attr not in keys
    }
    held = (
        read
        | {attr: f"{{{', '.join(f'{key!r}: {value}' for key in found)}}}" for attr, found in keys.items()}
        for value in _HELD
    )
    first = [f"__class__={kind}"] if kind else []
    rows = ([*first, *(f"{attr}={value}" for attr, value in row.items())] for row in held if keys)
    return tuple(_written(row, ()) for row in rows)


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
