"""A schema without what cannot be enforced: what a tool that is not ``strict`` is decoded under.

One odd tool of an MCP server must not end a session, so a keyword that the grammar engine does not know is left out, and
named; what was generated is checked against the whole schema afterwards. Tools that are ``strict``, and ``text.format``,
are refused instead (:func:`~kodo.server.engines.llama.tools.schema_limits.check_schema`).

Knows JSON Schema's keywords and their limits; knows nothing of tools or requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kodo.server.engines.llama.constraints.enforceable import enforceable
from kodo.server.engines.llama.constraints.subschemas import SCHEMA_LIST_KEYS, map_parts
from kodo.server.engines.llama.tools.schema_limits import (
    BOUNDS,
    MAX_BOUND,
    MAX_CHOICES,
    MAX_ENUM,
    MAX_ENUM_CHARACTERS,
    UNENFORCEABLE,
    check_pattern,
    multiple_of,
)
from kodo.server.lifecycle.errors import InvalidRequest

KNOWN_FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"]
)
MAX_LENIENT_DEPTH = 40
"""Levels below which a part is taken as free."""


def lenient_schema(
    schema: dict[str, Any], compiles: Callable[[dict[str, Any]], bool], *, merge_choices: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A schema without what cannot be enforced, and the keywords that were left out, each once.

    Args:
        compiles: whether the grammar engine takes a schema; asked for patterns.
        merge_choices: take ``oneOf`` as ``anyOf``, where the choices overlap.
    """
    lenience = _Lenience(schema, compiles, merge_choices)
    result = lenience.of(schema, 0)
    return result if isinstance(result, dict) else {}, tuple(sorted(lenience.dropped))


class _Lenience:
    """One walk over a schema."""

    def __init__(
        self, root: dict[str, Any], compiles: Callable[[dict[str, Any]], bool], merge_choices: bool
    ) -> None:
        self._root = root
        self._compiles = compiles
        self._merge_choices = merge_choices
        self.dropped: set[str] = set()

    def of(self, node: object, depth: int) -> object:
        """A part of the schema without what cannot be enforced."""
        if not isinstance(node, dict) or depth > MAX_LENIENT_DEPTH:
            return node if isinstance(node, bool) else {}
        result: dict[str, Any] = {}
        node = enforceable(node)
        for key, value in node.items():
            if not self._keeps(key, value, node):
                self.dropped.add(key)
            elif key == "enum" and isinstance(value, list):
                result[key] = _short_enum(value)
            elif key == "patternProperties" and isinstance(value, dict):
                kept = {name: part for name, part in value.items() if self._keeps("pattern", name, {})}
                result[key] = self._parts(key, kept, depth)
            elif key in SCHEMA_LIST_KEYS and isinstance(value, list):
                result[self._choice_name(key, node)] = self._parts(key, value[:MAX_CHOICES], depth)
            else:
                result[key] = self._parts(key, value, depth)
        return result

    def _parts(self, key: str, value: object, depth: int) -> object:
        return map_parts(key, value, lambda part, _: self.of(part, depth + 1))

    def _choice_name(self, key: str, node: dict[str, Any]) -> str:
        """The keyword of a list of schemas: ``anyOf`` in place of a ``oneOf`` whose choices overlap."""
        if key != "oneOf" or not self._merge_choices:
            return key
        self.dropped.add(key)
        return "anyOf" if "anyOf" not in node else key

    def _keeps(self, key: str, value: object, node: dict[str, Any]) -> bool:
        """Whether a keyword is enforced."""
        if key in UNENFORCEABLE:
            return key == "uniqueItems" and value is False
        if key in BOUNDS:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return is_number and 0 <= float(str(value)) <= MAX_BOUND
        if key == "format":
            return value in KNOWN_FORMATS or not _is_text(node)
        if key == "$ref":
            return isinstance(value, str) and self._resolves(value)
        try:
            if key == "multipleOf":
                multiple_of(node, "")
            if key == "pattern":
                return isinstance(value, str) and self._is_pattern(value)
        except InvalidRequest:
            return False
        return True

    def _is_pattern(self, pattern: str) -> bool:
        check_pattern(pattern, "")
        return self._compiles({"type": "string", "pattern": pattern})

    def _resolves(self, reference: str) -> bool:
        """Whether a reference leads to a part of this schema that is more than another reference."""
        node: object = self._root
        if not reference.startswith("#"):
            return False
        path = reference[1:].strip("/")
        for escaped in path.split("/") if path else ():
            step = escaped.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            elif isinstance(node, dict) and step in node:
                node = node[step]
            else:
                return False
        return isinstance(node, dict) and "$ref" not in node


def _is_text(node: dict[str, Any]) -> bool:
    types = node.get("type", "string")
    return types == "string" or (isinstance(types, list) and "string" in types)


def _short_enum(values: list[Any]) -> list[Any]:
    """The first values, as many as the limits allow: each of them fits the whole list."""
    kept: list[Any] = []
    characters = 0
    for value in values[: MAX_ENUM // 2]:
        characters += len(json.dumps(value))
        if characters > MAX_ENUM_CHARACTERS // 2:
            break
        kept.append(value)
    return kept
