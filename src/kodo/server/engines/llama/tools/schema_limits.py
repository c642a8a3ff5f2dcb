"""Limits on what a client may ask the grammar engine to enforce: a walk over a schema that names the place at fault.

The measured reasons (2 cores, AMD EPYC, shared, 2026-11-23): ``minItems`` and lengths cost nothing however large; a
regular expression with 100,000 repetitions took 1.1 s for its first step, ``multipleOf: 99991`` 3.4 s, 50,000 enum
values 0.9 s, and a prime of eight digits never came back. Inside these caps the slowest schema found took 0.2 s.

Knows JSON Schema's keywords; knows nothing of grammars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from kodo.server.engines.schema_references import check_references
from kodo.server.lifecycle.errors import InvalidRequest

MAX_DEPTH = 50
MAX_NODES = 2_000
MAX_ENUM = 1_000
MAX_ENUM_CHARACTERS = 50_000
MAX_PROPERTIES = 500
MAX_CHOICES = 100
MAX_BOUND = 100_000
MAX_PATTERN = 1_000
MAX_REPETITIONS = 2_000
MAX_MULTIPLE = 1_000
"""As a fraction's numerator: 0.25 counts 1, 999.999 counts 999,999."""
MAX_MULTIPLE_PRODUCT = 50_000
"""All of a schema's, multiplied: `allOf` makes the engine work with their product."""

UNENFORCEABLE = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    }
)
"""Keywords of JSON Schema that the grammar engine cannot hold a model to."""

BOUNDS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_SUBSCHEMA_KEYS = ("items", "additionalProperties", "additionalItems")
_SUBSCHEMA_LIST_KEYS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SUBSCHEMA_MAP_KEYS = ("properties", "patternProperties", "$defs", "definitions")
_REPETITION = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def unsupported_schema(message: str, param: str) -> InvalidRequest:
    """The error for a schema that cannot be enforced."""
    return InvalidRequest(message, param=param, code="unsupported_schema")


def check_schema(schema: object, param: str) -> None:
    """Check a schema against the caps.

    Raises:
        InvalidRequest: a keyword cannot be enforced, a reference leads only to itself, or something is over a cap; ``param`` is the path to it.
    """
    nodes = enum = characters = repetitions = 0
    multiples = 1
    for path, depth, node in _walk(schema, param):
        nodes += 1
        if nodes > MAX_NODES:
            raise unsupported_schema(f"The schema has more than {MAX_NODES} parts.", param)
        if depth > MAX_DEPTH:
            raise unsupported_schema(f"The schema is nested more than {MAX_DEPTH} deep.", param)
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            raise unsupported_schema("A schema must be an object or a boolean.", path)
        _check_keywords(node, path)
        values = node.get("enum", ())
        if isinstance(values, list):
            enum += len(values)
            characters += sum(len(str(value)) for value in values)
        if enum > MAX_ENUM or characters > MAX_ENUM_CHARACTERS:
            raise unsupported_schema(
                f"The schema lists more than {MAX_ENUM} enum values, or more than {MAX_ENUM_CHARACTERS} "
                "characters of them.",
                f"{path}.enum",
            )
        multiples *= multiple_of(node, path)
        if multiples > MAX_MULTIPLE_PRODUCT:
            raise unsupported_schema(
                "The schema's 'multipleOf' are too large together.", f"{path}.multipleOf"
            )
        for pattern in (node.get("pattern"), *_patterns(node)):
            if isinstance(pattern, str):
                repetitions += check_pattern(pattern, f"{path}.pattern")
        if repetitions > MAX_REPETITIONS:
            raise unsupported_schema(
                f"The patterns repeat more than {MAX_REPETITIONS} times in all.", f"{path}.pattern"
            )
    check_references(schema, param)


def check_pattern(pattern: str, param: str) -> int:
    """Check a regular expression against the caps; returns its counted repetitions.

    Raises:
        InvalidRequest: it is over one.
    """
    if len(pattern) > MAX_PATTERN:
        raise unsupported_schema(f"A pattern may have {MAX_PATTERN} characters.", param)
    counts = 0
    product = 1
    for low, high in _REPETITION.findall(pattern):
        count = max(int(low), int(high or 0), 1)
        counts += count
        product *= count
    if max(counts, product) > MAX_REPETITIONS:
        raise unsupported_schema(
            f"A pattern may count up to {MAX_REPETITIONS} repetitions, multiplied.", param
        )
    return counts


def _walk(schema: object, param: str) -> Iterator[tuple[str, int, object]]:
    """Every subschema with its path and depth, without recursion: the depth is the caller's choice."""
    stack: list[tuple[str, int, object]] = [(param, 0, schema)]
    while stack:
        path, depth, node = stack.pop()
        yield path, depth, node
        if not isinstance(node, dict):
            continue
        for key in _SUBSCHEMA_KEYS:
            if key in node:
                child = node[key]
                if isinstance(child, list):  # draft 7's tuple form of `items`
                    stack.extend((f"{path}.{key}[{i}]", depth + 1, one) for i, one in enumerate(child))
                else:
                    stack.append((f"{path}.{key}", depth + 1, child))
        for key in _SUBSCHEMA_LIST_KEYS:
            children = node.get(key)
            if isinstance(children, list):
                stack.extend((f"{path}.{key}[{i}]", depth + 1, one) for i, one in enumerate(children))
        for key in _SUBSCHEMA_MAP_KEYS:
            named = node.get(key)
            if isinstance(named, dict):
                stack.extend((f"{path}.{key}.{name}", depth + 1, one) for name, one in named.items())


def _patterns(node: dict[str, Any]) -> Iterator[object]:
    named = node.get("patternProperties")
    if isinstance(named, dict):
        yield from named


def _check_keywords(node: dict[str, Any], path: str) -> None:
    for key in node.keys() & UNENFORCEABLE:
        if key == "uniqueItems" and node[key] is False:
            continue
        raise unsupported_schema(f"The keyword '{key}' cannot be enforced.", f"{path}.{key}")
    reference = node.get("$ref")
    if reference is not None and not (isinstance(reference, str) and reference.startswith("#")):
        raise unsupported_schema("A '$ref' must point into the same schema ('#...').", f"{path}.$ref")
    for key in BOUNDS:
        bound = node.get(key)
        if bound is None:
            continue
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 <= bound <= MAX_BOUND:
            raise unsupported_schema(f"'{key}' must be a number from 0 to {MAX_BOUND}.", f"{path}.{key}")
    properties = node.get("properties")
    if isinstance(properties, dict) and len(properties) > MAX_PROPERTIES:
        raise unsupported_schema(f"An object may have {MAX_PROPERTIES} properties.", f"{path}.properties")
    for key in _SUBSCHEMA_LIST_KEYS:
        choices = node.get(key)
        if isinstance(choices, list) and len(choices) > MAX_CHOICES:
            raise unsupported_schema(f"'{key}' may have {MAX_CHOICES} members.", f"{path}.{key}")


def multiple_of(node: dict[str, Any], path: str) -> int:
    """The numerator of ``multipleOf``; 1 without the keyword."""
    multiple = node.get("multipleOf", 1)
    if isinstance(multiple, bool) or not isinstance(multiple, int | float) or not 0 < multiple < 1e9:
        raise unsupported_schema("'multipleOf' must be a number above 0.", f"{path}.multipleOf")
    numerator = Fraction(str(multiple)).numerator
    if numerator > MAX_MULTIPLE:
        raise unsupported_schema(
            f"'multipleOf' may be {MAX_MULTIPLE} at most, as a fraction's numerator.", f"{path}.multipleOf"
        )
    return numerator
