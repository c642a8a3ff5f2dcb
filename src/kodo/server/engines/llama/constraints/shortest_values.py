"""The shortest values of a schema, as :mod:`kodo.server.engines.llama.constraints.shortest_ending` tries them.

A list of guesses, one for each place of the schema; the grammar's matcher decides which of them fits where, so a guess
that is wrong costs a microsecond and nothing else. Knows JSON Schema; knows nothing of where a text stands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from kodo.server.engines.llama.constraints.pattern_example import pattern_example
from kodo.server.engines.llama.constraints.shortest_ending import ShortestValues
from kodo.server.engines.llama.constraints.subschemas import walk_schema

MAX_FILLER = 1_000
"""Characters of a string that only has to be long."""
MAX_NUMBER = 1e16
_COMMON: tuple[Any, ...] = (0, 1, "", None, True, False)
_FORMATS = {
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "date": "2000-01-01",
    "duration": "P1D",
    "email": "a@a.aa",
    "hostname": "a",
    "ipv4": "0.0.0.0",  # noqa: S104 - a value, not an address to bind
    "ipv6": "::",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "uri": "a:",
}


def shortest_values(schema: dict[str, Any]) -> ShortestValues:
    """The shortest values of all parts of a schema, and the names of its properties."""
    values = {_encoded(value) for value in _COMMON}
    names: dict[bytes, None] = {}
    alphabet: list[str] = []
    for node in walk_schema(schema):
        values.update(_encoded(value) for value in _values(node))
        names.update(
            (_encoded(name)[1:], None) for name in (*node.get("properties", ()), *node.get("required", ()))
        )
        if isinstance(node.get("pattern"), str):
            alphabet.append(node["pattern"])
            example = pattern_example(node["pattern"])
            if example is not None:
                padding = max(_length(node) - len(example), 0)
                values.update(
                    (_encoded(example), _encoded("a" * padding + example), _encoded(example + "a" * padding))
                )
        alphabet += node.get("patternProperties", {})
    letters = "".join(sorted(set("".join(alphabet)))).encode(errors="ignore")
    return ShortestValues(
        values=tuple(sorted(values, key=lambda value: (len(value), value))),
        names=tuple(names),
        alphabet=letters,
    )


def _values(node: dict[str, Any]) -> Iterator[Any]:
    """The shortest values that a part of a schema may have by its own keywords."""
    if isinstance(node.get("enum"), list):
        yield from node["enum"]
    if "const" in node:
        yield node["const"]
    if isinstance(node.get("format"), str) and node["format"] in _FORMATS:
        yield _FORMATS[node["format"]]
    if _length(node):
        yield "a" * _length(node)
    for key, step in (("minimum", 1), ("exclusiveMinimum", 1), ("maximum", -1), ("exclusiveMaximum", -1)):
        bound, multiple = node.get(key), node.get("multipleOf", 1)
        if not isinstance(bound, int | float) or not isinstance(multiple, int | float):
            continue
        if math.isfinite(bound) and multiple > 0 and abs(bound) < MAX_NUMBER:
            yield bound
            whole = math.ceil(bound / multiple) if step > 0 else math.floor(bound / multiple)
            for times in (whole, whole + step):
                value = times * multiple
                yield int(value) if value == int(value) else value


def _length(node: dict[str, Any]) -> int:
    """``minLength``, where it is there and not absurd."""
    length = node.get("minLength")
    return math.ceil(length) if isinstance(length, int | float) and 0 < length <= MAX_FILLER else 0


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
