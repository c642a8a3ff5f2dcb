"""Two tools of one name are refused: nobody could say whose call it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, served, settings

INNER: dict[str, Any] = {"name": "add", "parameters": {"type": "object", "properties": {}}}
FUNCTION = {"type": "function", **INNER}
NESTED = {"type": "function", "function": INNER}
SPACE = {"type": "namespace", "name": "sums", "description": "Sums.", "tools": [FUNCTION]}
SAID = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("responses", {"input": "x", "tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
        ("responses", {"input": "x", "tools": [FUNCTION, {"type": "custom", "name": "add"}]}, "tools[1].name"),
        ("responses", {"input": "x", "tools": [SPACE, {**SPACE, "tools": [FUNCTION]}]}, "tools[1].tools[0].name"),
        ("responses/input_tokens", {"input": "x", "tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
        ("chat/completions", {"messages": SAID, "tools": [NESTED, NESTED]}, "tools[1].function.name"),
        ("chat/completions", {"messages": SAID, "functions": [INNER, INNER]}, "functions[1].name"),
        ("assistants", {"tools": [NESTED, NESTED]}, "tools[1].function.name"),
        ("messages", {"messages": SAID, "max_tokens": 9, "tools": [{"name": "add", "input_schema": {"type": "object"}}] * 2}, None),
    ],
)  # fmt: skip
async def test_two_tools_of_one_name_are_refused(
    path: str, body: dict[str, Any], param: str | None, tmp_path: Path
) -> None:
    """400, and the error names the second one."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post(f"/v1/{path}", json={"model": MODEL, **body})
        error = answer.json()["error"]
    assert answer.status_code == 400
    assert "tool names must be unique" in error["message"]
    assert error.get("param") == param


async def test_one_name_in_two_namespaces_is_two_tools(tmp_path: Path) -> None:
    """The model calls them by both."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        tools = [FUNCTION, SPACE, {**SPACE, "name": "other"}]
        answer = await http.post("/v1/responses", json={"model": MODEL, "input": "x", "tools": tools})
    assert answer.status_code == 200, answer.text
