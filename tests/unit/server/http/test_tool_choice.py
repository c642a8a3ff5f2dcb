"""A choice of a tool that is not offered is refused whichever engine answers, and whichever API asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.chat_server import chat_server
from tests.serving import MODEL, script, served, settings

from kodo.server.config import ModelSettings

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
FUNCTION: dict[str, Any] = {"type": "function", "name": "get", "parameters": SCHEMA}
NESTED: dict[str, Any] = {"type": "function", "function": {"name": "get", "parameters": SCHEMA}}
OTHER: dict[str, Any] = {"type": "function", "name": "other"}
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "x"}]
ANSWER: dict[str, Any] = {"steps": [{"type": "text", "text": "ok"}], "match": "."}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "one": ("/v1/responses", {"input": "x", "tools": [FUNCTION], "tool_choice": OTHER}, "tool_choice"),
    "none at all": ("/v1/responses", {"input": "x", "tool_choice": "required"}, "tool_choice"),
    "streamed": (
        "/v1/responses",
        {"input": "x", "tools": [FUNCTION], "tool_choice": OTHER, "stream": True},
        "tool_choice",
    ),
    "one of a list": (
        "/v1/responses",
        {"input": "x", "tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "tools": [OTHER]}},
        "tool_choice.tools",
    ),
    "counted": (
        "/v1/responses/input_tokens",
        {"input": "x", "tools": [FUNCTION], "tool_choice": OTHER},
        "tool_choice",
    ),
    "chat": (
        "/v1/chat/completions",
        {
            "messages": MESSAGES,
            "tools": [NESTED],
            "tool_choice": {"type": "function", "function": {"name": "other"}},
        },
        "tool_choice",
    ),
    "chat, one of a list": (
        "/v1/chat/completions",
        {
            "messages": MESSAGES,
            "tools": [NESTED],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "o"}}]},
            },
        },
        "tool_choice.allowed_tools.tools",
    ),
    "functions": (
        "/v1/chat/completions",
        {
            "messages": MESSAGES,
            "functions": [{"name": "get", "parameters": SCHEMA}],
            "function_call": {"name": "o"},
        },
        "function_call",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_of_a_script(tmp_path: Path, name: str) -> None:
    """400, and the field's name."""
    assert await _refused(tmp_path, script(tmp_path, ANSWER), name) == (400, REFUSED[name][2])


@pytest.mark.parametrize("name", REFUSED)
async def test_of_an_upstream_server(tmp_path: Path, name: str) -> None:
    """The same, and the server, which would fail, is not asked."""
    async with chat_server() as url:
        model = ModelSettings(engine="upstream", base_url=url, target="http-500", profile="generic")
        assert await _refused(tmp_path, model, name) == (400, REFUSED[name][2])


async def test_in_a_message_of_anthropics_api(tmp_path: Path) -> None:
    """400, and the message begins with the field."""
    body = {"model": MODEL, "max_tokens": 9, "messages": MESSAGES}
    tools = [{"name": "get", "input_schema": SCHEMA}]
    async with served(settings(tmp_path, script(tmp_path, ANSWER))) as server, server.http() as http:
        for more in (
            {"tools": tools, "tool_choice": {"type": "tool", "name": "o"}},
            {"tool_choice": {"type": "any"}},
        ):
            answer = await http.post("/v1/messages", json={**body, **more})
            assert answer.status_code == 400
            assert answer.json()["error"]["message"].startswith("tool_choice: ")


async def test_of_tools_that_are_found_later(tmp_path: Path) -> None:
    """A list may hold a deferred tool beside others: it counts once it is found."""
    later = {**FUNCTION, "name": "later", "defer_loading": True}
    tools = [FUNCTION, later, {"type": "tool_search"}]
    names = [{"type": "function", "name": "get"}, {"type": "function", "name": "later"}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": names}
    async with served(settings(tmp_path, script(tmp_path, ANSWER))) as server, server.http() as http:
        body = {"model": MODEL, "input": "x", "tools": tools, "tool_choice": choice}
        answer = await http.post("/v1/responses", json=body)
    assert answer.status_code == 200
    assert answer.json()["tool_choice"] == choice


async def _refused(home: Path, model: ModelSettings, name: str) -> tuple[int, str]:
    path, body, _ = REFUSED[name]
    async with served(settings(home, model)) as server, server.http() as http:
        answer = await http.post(path, json={"model": MODEL, **body})
    return answer.status_code, json.loads(answer.content)["error"]["param"]
