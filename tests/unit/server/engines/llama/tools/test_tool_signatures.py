"""Tools as one line each, for models whose template knows no tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.server.engines.llama.tools.tool_signatures import tool_signature
from kodo.server.engines.llama.tools.tools import OfferedTool, tools_prompt

SHAPES = Path(__file__).parents[6] / "bench/landing/schemas.jsonl"


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        (None, "f(text) - Does it."),
        ({"type": "object"}, "f() - Does it."),
        (
            {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "City,\n  with its country", "maxLength": 40},
                    "unit": {"enum": ["C", "F"]},
                    "days": {"type": ["integer", "null"]},
                },
                "required": ["city"],
            },
            'f(city: string /* City, with its country */, unit?: "C" | "F", days?: integer | null) - Does it.',
        ),
        (
            {
                "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}},
                "properties": {
                    "tree": {"$ref": "#/$defs/node"},
                    "all": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"const": 7}]}},
                    "rows": {"items": {"type": "array", "items": {"type": "number"}}},
                    "von wo": {"type": "boolean"},
                },
            },
            'f(tree?: {next?: any}, all?: Array<string | 7>, rows?: number[][], "von wo"?: boolean) - Does it.',
        ),
        (
            {
                "properties": {"id": {"type": "string"}},
                "allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"b": True}}],
            },
            "f({id?: string} & {a?: null} & {b?: any}) - Does it.",
        ),
        (
            {"properties": {"n": {"enum": [*range(9)]}, "m": {"enum": [*range(8)]}, "x": {"enum": []}}},
            f"f(n?: {' | '.join(map(str, range(8)))} | ..., m?: {' | '.join(map(str, range(8)))}, x?: any) - Does it.",
        ),
        (
            {"properties": {"x": {"$ref": "#/$defs/gone"}, "y": {"type": "odd"}}},
            "f(x?: any, y?: any) - Does it.",
        ),
    ],
)
def test_a_line_says_names_types_and_purposes(schema: dict[str, Any] | None, line: str) -> None:
    """As TypeScript writes them; what contains itself, leads nowhere or is unknown is ``any``."""
    assert tool_signature("f", "Does it.", schema) == line


def test_every_property_of_a_real_tool_is_in_its_line_which_is_short() -> None:
    """The shapes of MCP servers and clients: two fifths of the characters of their JSON, together."""
    long = short = 0
    for row in map(json.loads, SHAPES.read_text().splitlines()):
        line = tool_signature("fill", "", row["schema"])
        assert all(name in line for name in row["schema"].get("properties", {}))
        long, short = long + len(json.dumps(row["schema"])), short + len(line)
    assert short < 0.4 * long


def test_a_tool_that_need_not_be_called_is_shown_with_its_schema() -> None:
    """Behind the lines a small model that may answer in words writes lists without end."""
    offer = OfferedTool(kind="function", name="f", schema={"properties": {"x": {"type": "string"}}})
    assert "\nf(x?: string)" in tools_prompt([offer], has_to_call=True)
    assert '"parameters": {"properties"' in tools_prompt([offer], has_to_call=False)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "allOf", "enum", "$ref", "required", "const"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["properties", "allOf", "$ref", "required", "description"]), ANY_JSON))
def test_whatever_a_schema_holds_there_is_a_line(schema: dict[str, Any]) -> None:
    """A server's odd schema ends no request."""
    assert tool_signature("f", "", schema).startswith("f(")


def test_a_deep_schema_is_cut() -> None:
    """Types inside of each other are written out to a depth."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(90):
        schema = {"properties": {"in": schema}}
    assert tool_signature("f", "", schema).count("in?:") < 12
