"""What code awaits of an object that it is given: a mock in its place must answer these calls with something to await.

Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache

_SCHEDULERS = frozenset({"create_task", "ensure_future", "gather", "shield", "wait", "wait_for"})
"""Functions and methods that await the calls they are given."""
_ANSWER = "return_value"


def awaited_calls(name: str, body: Iterable[ast.stmt], owner: Iterable[ast.stmt] = ()) -> tuple[str, ...]:
    """The methods of a parameter that are awaited, dotted, ``files.get``; what a call gives is its ``return_value``.

    ``owner`` are the statements of the class whose constructor keeps the parameter: its methods are read too.
    """
    body, owner = list(body), list(owner)
    if not any(_steps(statement)[1] for statement in (*body, *owner)):
        return ()
    found = _Reader({name: ""}).read(body)
    kept = [*_kept(name, body), *([] if body else [name])]  # a field is kept under its own name
    for method in owner:
        if kept and isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            found += _Reader({f"self.{one}": "" for one in kept}).read(method.body)
    return tuple(dict.fromkeys(found))


def _kept(name: str, body: Iterable[ast.stmt]) -> Iterator[str]:
    """The attributes of ``self`` that a constructor binds to a parameter."""
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == name:
            yield from (one.attr for one in node.targets if isinstance(one, ast.Attribute))


@lru_cache(maxsize=8192)
def _steps(statement: ast.stmt) -> tuple[tuple[ast.AST, ...], bool]:
    """What a statement binds and awaits, in the order of the text, and whether it awaits anything; kept, as each parameter of a function
    and of a constructor asks for it.
    """
    found = [node for node in ast.walk(statement) if _binds(node) or _awaits(node)]
    return tuple(found), any(map(_awaits, found))


def _binds(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign | ast.withitem)


def _awaits(node: ast.AST) -> bool:
    """Whether a node awaits something, or hands it to what does."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in _SCHEDULERS
    return isinstance(node, ast.Await)


class _Reader:
    """Follows an object through statements; ``known`` is the text of an expression -> what it is of the object."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known

    def read(self, body: Iterable[ast.stmt]) -> list[str]:
        """The awaited calls, in the order of the text."""
        out: list[str] = []
        for node in (inner for statement in body for inner in _steps(statement)[0]):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._bind(name, value, "")
                case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                    self._bind(name, value, f".__aenter__.{_ANSWER}")
                case ast.Await(value=ast.Call(func=function) as call):
                    out += self._called([call])
                    if isinstance(function, ast.Attribute) and function.attr in _SCHEDULERS:
                        out += self._called(call.args)
                case ast.Call(func=ast.Attribute(attr=attr), args=args) if attr in _SCHEDULERS:
                    out += self._called(args)
        return out

    def _called(self, nodes: Iterable[ast.expr]) -> list[str]:
        """Which methods of the object some calls call."""
        places = (self._place(node.func) for node in nodes if isinstance(node, ast.Call))
        return [place for place in places if place]

    def _bind(self, name: str, value: ast.expr, suffix: str) -> None:
        place = self._place(value)
        if place:
            self._known[name] = place + suffix

    def _place(self, node: ast.expr) -> str | None:
        """What an expression is of the object: "" for itself, None for what has nothing to do with it."""
        if (known := self._known.get(ast.unparse(node))) is not None:
            return known
        match node:
            case ast.Await(value=value):
                return self._place(value)
            case ast.Attribute(value=value, attr=attr):
                place = self._place(value)
                return None if place is None else f"{place}.{attr}".lstrip(".")
            case ast.Call(func=function):
                place = self._place(function)
                return f"{place}.{_ANSWER}" if place else None
        return None
