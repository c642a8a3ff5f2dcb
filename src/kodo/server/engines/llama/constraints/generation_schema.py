"""The schema that a model is held to while it writes: the client's, closed and bounded, so that an answer ends.

- An object with declared properties and no word on others has exactly those. Every such value fits the client's schema.
- Strings, arrays, integers and maps without bounds get bounds that come from the tokens available: a share of them for
  each string, so that the first one cannot take what the others need.

What is generated fits the client's schema, since both only take values away. Knows JSON Schema; knows nothing of grammars.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kodo.server.engines.llama.constraints.subschemas import map_parts, walk_schema

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader holds exactly."""
CHARACTERS_PER_TOKEN = 3
"""Of English text a little less than a small model's tokens have."""
MIN_STRING, MAX_STRING = 32, 20_000
"""Characters of the bound on a string."""
TOKENS_PER_ITEM = 12
"""Tokens of the answer for each item that an array without a bound may have."""
URI = r"^[a-z][a-z0-9+.-]{1,9}:(//[A-Za-z0-9.@:-]+)?(/[A-Za-z0-9._~/?#&=%+,:@-]*)?$"
"""Stands for the format ``uri``, for which the engine's own grammar fails in the middle."""
_OPENING = ("additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames", "$ref")
_COMBINERS = ("allOf", "anyOf", "oneOf")


def generation_schema(schema: dict[str, Any], max_tokens: int) -> dict[str, Any]:
    """A schema closed, and bounded for an answer of up to ``max_tokens`` tokens."""
    return _bounded(_closed(schema), _budget(max_tokens))


def _budget(max_tokens: int) -> int:
    """The next lower power of two: grammars are compiled once for each budget."""
    return 1 << (max(max_tokens, 16).bit_length() - 1)


# --- closed ---


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    combined = {
        part["$ref"]
        for node in walk_schema(schema)
        for key in _COMBINERS
        for part in node.get(key, ())
        if isinstance(part, dict)
        and isinstance(part.get("$ref"), str)
        and (key == "allOf" or "properties" in node)
    }
    result = _close(schema, may_close=True, open_refs=frozenset(combined), path="#")
    assert isinstance(result, dict)  # noqa: S101 - for mypy: an object stays an object
    return result


def _close(node: object, *, may_close: bool, open_refs: frozenset[str], path: str) -> object:
    """A part of a schema with its objects closed; ``may_close`` is False where another part adds properties to it."""
    if not isinstance(node, dict):
        return node

    def close_part(key: str) -> Callable[[object, str | None], object]:
        inner = may_close and key != "allOf" and "properties" not in node if key in _COMBINERS else True
        where = f"{path}/{key}"

        def close(part: object, name: str | None) -> object:
            place = where if name is None else f"{where}/{name}"
            allowed = inner and (name is None or place not in open_refs)
            return _close(part, may_close=allowed, open_refs=open_refs, path=place)

        return close

    result: dict[str, Any] = {
        key: value if key == "not" else map_parts(key, value, close_part(key)) for key, value in node.items()
    }
    adds = any(_has_properties(part) for key in _COMBINERS for part in node.get(key, ()))
    if may_close and not adds and _is_closable(node):
        properties = result["properties"]
        missing = [name for name in node.get("required", ()) if name not in properties]
        result["properties"] = {**properties, **{name: {} for name in missing}}
        result["additionalProperties"] = False
        result.setdefault("type", "object")
    return result


def _has_properties(part: object) -> bool:
    return isinstance(part, dict) and any(key in part for key in ("properties", "$ref", *_COMBINERS))


def _is_closable(node: dict[str, Any]) -> bool:
    properties, least = node.get("properties"), node.get("minProperties", 0)
    return (
        isinstance(properties, dict)
        and not any(key in node for key in _OPENING)
        and node.get("additionalProperties") is None
        and isinstance(least, int | float)
        and least <= len(properties)
        and isinstance(node.get("required", []), list)
    )


# --- bounded ---


def _bounded(schema: dict[str, Any], tokens: int) -> dict[str, Any]:
    strings = sum(_is_free_string(node) for node in walk_schema(schema))
    share = tokens * CHARACTERS_PER_TOKEN // max(strings, 1)
    characters = min(max(share, MIN_STRING), MAX_STRING)
    items = max(tokens // TOKENS_PER_ITEM, 1)
    return _bound(schema, characters, items)


def _bound(node: dict[str, Any], characters: int, items: int) -> dict[str, Any]:
    result = {
        key: map_parts(key, value, lambda part, _: _bound_part(part, characters, items))
        for key, value in node.items()
    }
    types = node.get("type", ())
    types = [types] if isinstance(types, str) else list(types)
    if _is_free_string(node):
        result["maxLength"] = max(characters, math.ceil(_number(node, "minLength", 0)))
    if node.get("format") == "uri" and "pattern" not in node:
        del result["format"]
        result["pattern"] = URI
    if "array" in types and "maxItems" not in node and "items" in node:
        result["maxItems"] = max(items, math.ceil(_number(node, "minItems", 0)))
    if "integer" in types and "number" not in types:
        result.update(_integer_bounds(node))
    is_map = isinstance(node.get("additionalProperties"), dict) and not node.get("properties")
    if is_map and "maxProperties" not in node and "patternProperties" not in node:
        result["maxProperties"] = max(items, math.ceil(_number(node, "minProperties", 0)))
    return result


def _integer_bounds(node: dict[str, Any]) -> dict[str, int]:
    """The bounds that an integer lacks."""
    bounds: dict[str, int] = {}
    if "multipleOf" in node or "enum" in node:
        return bounds
    if not any(key in node for key in ("minimum", "exclusiveMinimum")):
        bounds["minimum"] = min(-MAX_INTEGER, int(_number(node, "maximum", 0)))
    if not any(key in node for key in ("maximum", "exclusiveMaximum")):
        bounds["maximum"] = max(MAX_INTEGER, int(_number(node, "minimum", 0)))
    return bounds


def _bound_part(part: object, characters: int, items: int) -> object:
    return _bound(part, characters, items) if isinstance(part, dict) else part


def _is_free_string(node: dict[str, Any]) -> bool:
    types = node.get("type", ())
    is_string = types == "string" or (isinstance(types, list) and "string" in types)
    return is_string and not any(key in node for key in ("maxLength", "enum", "const", "pattern", "format"))


def _number(node: dict[str, Any], key: str, default: float) -> float:
    value = node.get(key, default)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default
