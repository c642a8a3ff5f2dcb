"""A tool as one line: its name, its arguments with their types as TypeScript writes them, and what it is for.

For models whose chat template knows no tools. The line has about a third of the tokens of the tool's JSON schema, and reading
the prompt is most of the time of a call. What it leaves out (bounds, patterns, formats), a call's grammar holds anyway.

Knows JSON schemas; knows nothing of prompts or grammars. Whatever a schema holds, a line comes out: odd parts become ``any``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

MAX_DEPTH = 8
"""Types inside of each other that are written out; deeper ones are ``any``, as are types that contain themselves."""
MAX_LITERALS = 8
"""Values of an enumeration that are written out; a call's grammar holds the model to all of them."""

_NAME = re.compile(r"[A-Za-z_$][\w$-]*")
_PLAIN = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "null": "null"}


def tool_signature(name: str, description: str, schema: Mapping[str, Any] | None) -> str:
    """``name(argument: type, optional?: type) - description``; a tool of free text (no schema) takes ``text``."""
    arguments = "text" if schema is None else _arguments(schema)
    return f"{name}({arguments})" + (f" - {description}" if description else "")


def _arguments(schema: Mapping[str, Any]) -> str:
    types = _Types(schema)
    if any(keyword in schema for keyword in ("$ref", "anyOf", "oneOf", "allOf")):
        return f"{{{types.properties(schema)}}} & {types.type(schema)}"
    return types.properties(schema)


class _Types:
    """The types of one schema, whose definitions its references name."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._open: list[str] = []
        """References that are being written out."""
        self._depth = 0

    def properties(self, schema: Mapping[str, Any]) -> str:
        """The properties of an object: names, types and descriptions."""
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict):
            return ""
        needed = required if isinstance(required, list) else []
        return ", ".join(
            f"{_key(name)}{'' if name in needed else '?'}: {self.type(part)}{_comment(part)}"
            for name, part in properties.items()
        )

    def type(self, schema: Any) -> str:
        """The type of a value."""
        if not isinstance(schema, Mapping) or self._depth >= MAX_DEPTH:
            return "any"
        self._depth += 1
        try:
            return self._type(schema)
        finally:
            self._depth -= 1

    def _type(self, schema: Mapping[str, Any]) -> str:
        if isinstance(schema.get("$ref"), str):
            return self._referenced(schema["$ref"])
        if "const" in schema:
            return _literal(schema["const"])
        if isinstance(schema.get("enum"), list):
            return _enumeration(schema["enum"])
        for keyword, mark in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
            if isinstance(schema.get(keyword), list) and schema[keyword]:
                return mark.join(dict.fromkeys(map(self.type, schema[keyword])))
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return " | ".join(self._kind(kind, schema) for kind in kinds) or "any"
        return self._kind(kinds, schema)

    def _kind(self, kind: object, schema: Mapping[str, Any]) -> str:
        if kind == "array" or (kind is None and "items" in schema):
            items = self.type(schema.get("items", {}))
            return f"Array<{items}>" if " | " in items or " & " in items else f"{items}[]"
        if kind == "object" or (kind is None and "properties" in schema):
            inside = self.properties(schema)
            return f"{{{inside}}}" if inside else "object"
        return _PLAIN.get(kind, "any") if isinstance(kind, str) else "any"

    def _referenced(self, reference: str) -> str:
        if reference in self._open:
            return "any"
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        self._open.append(reference)
        try:
            return self.type(found)
        finally:
            self._open.pop()


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _enumeration(values: list[object]) -> str:
    shown = [*map(_literal, values[:MAX_LITERALS]), *(["..."] if len(values) > MAX_LITERALS else [])]
    return " | ".join(shown) or "any"


def _comment(schema: Any) -> str:
    description = schema.get("description") if isinstance(schema, Mapping) else None
    return f" /* {' '.join(description.split())} */" if isinstance(description, str) and description else ""
