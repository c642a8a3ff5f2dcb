"""References of a JSON schema that lead only to each other, and so describe no value.

``{"$ref": "#"}`` is one. A recursion is sound where a property or an item stands between a schema and itself: then it
describes a value inside another. So the keywords that speak of the same value are followed: ``$ref``, ``allOf``,
``anyOf`` and ``oneOf``. A choice (``anyOf``, ``oneOf``) that could be made otherwise is refused as well: the member adds
nothing, and validators follow it without end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from kodo.server.lifecycle.errors import InvalidRequest

_SAME_VALUE = ("allOf", "anyOf", "oneOf")
_SCHEMAS = (
    *_SAME_VALUE,
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords whose value is a schema or a list of them."""
_NAMED_SCHEMAS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")


class _Place(NamedTuple):
    """A subschema's path as a chain: a name in it may be long, and is not copied for everything below it."""

    outer: _Place | None
    step: str

    def __str__(self) -> str:
        steps: list[str] = []
        place: _Place | None = self
        while place is not None:
            steps.append(place.step)
            place = place.outer
        return "".join(reversed(steps))


def check_references(schema: object, param: str) -> None:
    """Check that no reference of a schema leads only to itself. References that lead nowhere are left to others.

    Raises:
        InvalidRequest: one does; ``param`` is its path.
    """
    done: set[int] = set()
    for place, node in _walk(schema, _Place(None, param)):
        _follow(node, place, schema, done)


def _follow(start: dict[str, Any], place: _Place, root: object, done: set[int]) -> None:
    """Follow what speaks of the same value as ``start``, depth first and without recursion."""
    if id(start) in done:
        return
    active = {id(start)}
    stack = [(start, place, _same_value(start, place, root))]
    while stack:
        node, _, following = stack[-1]
        for child, where in following:
            if id(child) in active:
                first = next((at for _, at, _ in stack[1:] if at.step == ".$ref"), where)
                raise InvalidRequest(
                    "The schema refers only to itself, so that it describes no value.",
                    param=str(first),
                    code="unsupported_schema",
                )
            if id(child) not in done:
                active.add(id(child))
                stack.append((child, where, _same_value(child, where, root)))
                break
        else:
            stack.pop()
            active.discard(id(node))
            done.add(id(node))


def _same_value(node: dict[str, Any], place: _Place, root: object) -> Iterator[tuple[dict[str, Any], _Place]]:
    target = _resolve(node.get("$ref"), root)
    if isinstance(target, dict):
        yield target, _Place(place, ".$ref")
    for key in _SAME_VALUE:
        members = node.get(key)
        for index, member in enumerate(members if isinstance(members, list) else ()):
            if isinstance(member, dict):
                yield member, _Place(place, f".{key}[{index}]")


def _resolve(reference: object, root: object) -> object:
    """What a reference inside the schema points to; None where that is nothing."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    node = root
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isascii() and name.isdigit() and len(name) < 10:
            node = node[int(name)] if int(name) < len(node) else None
        else:
            return None
    return node


def _walk(schema: object, place: _Place) -> Iterator[tuple[_Place, dict[str, Any]]]:
    """Every subschema with its place, the outer ones first; data (``enum``, ``const``) holds none."""
    queue: deque[tuple[_Place, object]] = deque([(place, schema)])
    while queue:
        place, node = queue.popleft()
        if not isinstance(node, dict):
            continue
        yield place, node
        for key in _SCHEMAS:
            child = node.get(key)
            if isinstance(child, list):
                queue.extend((_Place(place, f".{key}[{index}]"), one) for index, one in enumerate(child))
            else:
                queue.append((_Place(place, f".{key}"), child))
        for key in _NAMED_SCHEMAS:
            named = node.get(key)
            if isinstance(named, dict):
                inner = _Place(place, f".{key}")
                queue.extend((_Place(inner, f".{name}"), one) for name, one in named.items())
