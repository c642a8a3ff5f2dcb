"""Schemas drawn at random, of the kinds that clients send; the same seed draws the same schema."""

from __future__ import annotations

import random
from typing import Any

NAMES = ("name", "id", "description", "name2", "tags", "a", "options", "path", "note", "日")
PATTERNS = ("^[a-z]{2,5}-[0-9]+$", "^(foo|barbar)+x$", "[A-Z]{3}", "^\\d{4}-\\d{2}$", "^.*\\.py$")
FORMATS = ("date", "uuid", "email", "ipv4", "date-time", "uri", "hostname", "time")
VALUES = ("alpha", "beta", "b", "gamma delta", 1, 2.5, None, True, "日本")


def draw_schema(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    """A schema; nested ones are three deep at most."""
    kinds = [_string, _string, _number, _enum, _simple]
    if depth < 3:
        kinds += [_object, _object, _object, _array, _choice, _map]
    return draw.choice(kinds)(draw, depth)


def draw_object(draw: random.Random) -> dict[str, Any]:
    """A schema of an object, such as a tool's parameters are."""
    return _object(draw, 0)


def _string(draw: random.Random, _depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    limits: dict[str, Any] = draw.choice(
        [
            {},
            {},
            {"minLength": draw.randint(0, 20)},
            {"maxLength": draw.randint(1, 30)},
            {"pattern": draw.choice(PATTERNS)},
            {"format": draw.choice(FORMATS)},
        ]
    )
    return {**schema, **limits}


def _number(draw: random.Random, _depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw.choice(["integer", "integer", "number"])}
    if draw.random() < 0.4:
        schema["minimum"] = draw.randint(-1000, 5000)
    if draw.random() < 0.3:
        schema["maximum"] = schema.get("minimum", 0) + draw.randint(1, 5000)
    return schema


def _enum(draw: random.Random, _depth: int) -> dict[str, Any]:
    if draw.random() < 0.2:
        return {"const": draw.choice(["only", 7, None, {"a": [1, 2]}])}
    return {"enum": [draw.choice(VALUES) for _ in range(draw.randint(1, 5))]}


def _simple(draw: random.Random, _depth: int) -> dict[str, Any]:
    return dict(draw.choice([{"type": "boolean"}, {"type": ["string", "null"]}, {}, {"type": "object"}]))


def _choice(draw: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [draw_schema(draw, depth + 1) for _ in range(draw.randint(1, 3))]}


def _map(draw: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": draw_schema(draw, depth + 1)}


def _array(draw: random.Random, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": draw_schema(draw, depth + 1)}
    if draw.random() < 0.4:
        schema["minItems"] = draw.randint(0, 3)
    if draw.random() < 0.3:
        schema["maxItems"] = schema.get("minItems", 0) + draw.randint(1, 4)
    return schema


def _object(draw: random.Random, depth: int) -> dict[str, Any]:
    names = draw.sample(NAMES, draw.randint(0, 6))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: draw_schema(draw, depth + 1) for name in names},
        "required": [name for name in names if draw.random() < 0.5],
    }
    if draw.random() < 0.3:
        schema["additionalProperties"] = False
    return schema
