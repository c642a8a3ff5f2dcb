"""Schemas as MCP servers have them, odd ones too: none of them keeps the engine from offering the tools."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.engines import asking, llama, running
from tests.tiny_model import write_tiny_model

from kodo.server.tools.mcp.listing import ListedTool, function
from kodo.server.wire.hosted_tools import McpTool

pytestmark = pytest.mark.xdist_group("engine")
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(60):
    DEEP = {"type": "object", "properties": {"inner": DEEP}}
ODD: list[Any] = [
    None,
    True,
    [],
    {},
    {"type": "string"},
    {"type": ["object", "null"], "properties": None},
    {"type": "object", "properties": {"a": True, "b": False, "c": {}}},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}},
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"$ref": "https://schemas.example/x.json"}}},
    {"type": "object", "properties": {"a": {"type": "no such type"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?<=x)("}}},
    {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
    {"type": "object", "properties": {"a": {"enum": list(range(5000))}}},
    {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(2000)}},
    {"type": "object", "required": ["not_there"], "minProperties": 10**9},
    {"type": "object", "allOf": [{"type": "string"}, {"type": "integer"}]},
    {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "id": "x",
        "exclusiveMinimum": True,
    },
    DEEP,
]


async def test_no_schema_of_a_server_keeps_its_tools_from_the_model(tmp_path: Any) -> None:
    """Each alone, and all of them together, with tool_choice required: the prompt is made, and names stay apart."""
    entry = McpTool(server_label="odd")
    tools = [function(entry, ListedTool(name=f"t{n}", input_schema=schema)) for n, schema in enumerate(ODD)]
    async with running(llama(write_tiny_model(tmp_path / "tiny.gguf"))) as engine:
        for tool in tools:
            await engine.prepare(asking("Go.", tools=(tool,), tool_choice="required"))
        prepared = await engine.prepare(asking("Go.", tools=tuple(tools)))
    assert prepared.input_tokens > 0
    assert len({tool.name for tool in tools}) == len(ODD)


def test_names_that_no_server_takes_are_made_fit() -> None:
    """Any name becomes one that upstream servers take, and different ones stay different."""
    names = ["a b", "a_b", "a.b", "天気", "x" * 300, "x" * 299 + "y", "", "a\n"]
    made = [function(McpTool(server_label="s"), ListedTool(name=name)).name for name in names]
    assert len(set(made)) == len(names)
    assert all(
        name.isascii() and len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum()
        for name in made
    )
