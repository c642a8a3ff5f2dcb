"""The parts of a JSON Schema.

Knows which keywords hold schemas; knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

SCHEMA_KEYS = ("items", "additionalProperties", "additionalItems", "not", "contains", "if", "then", "else")
SCHEMA_LIST_KEYS = ("anyOf", "oneOf", "allOf", "prefixItems")
SCHEMA_MAP_KEYS = ("properties", "patternProperties", "$defs", "definitions")


def walk_schema(schema: object) -> Iterator[dict[str, Any]]:
    """Every part of a schema that is an object, in order, without recursion: the depth is the caller's choice."""
    stack: list[object] = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(reversed(list(children(node))))


def children(node: dict[str, Any]) -> Iterator[object]:
    """The schemas directly inside a schema."""
    for key, value in node.items():
        if key in SCHEMA_MAP_KEYS and isinstance(value, dict):
            yield from value.values()
        elif (key in SCHEMA_KEYS or key in SCHEMA_LIST_KEYS) and isinstance(value, dict | list | bool):
            yield from value if isinstance(value, list) else (value,)


def map_parts(key: str, value: object, transform: Callable[[object, str | None], object]) -> object:
    """The value of a keyword with each schema directly inside it replaced by ``transform(schema, name)``.

    ``name`` is the property's or definition's, and None elsewhere. A keyword that holds no schema keeps its value.
    """
    if key in SCHEMA_MAP_KEYS and isinstance(value, dict):
        return {name: transform(part, name) for name, part in value.items()}
    if key in (*SCHEMA_LIST_KEYS, *SCHEMA_KEYS) and isinstance(value, list):
        return [transform(part, None) for part in value]
    return transform(value, None) if key in SCHEMA_KEYS else value
