"""Values of a kind that nobody sends by intent, in places that are not decoded by a type: the client's error each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, served, settings

CHAT = {
    "a part's type is a list": ({"role": "user", "content": [{"type": []}]}, "messages[0].content[0].type"),
    "calls are a number": ({"role": "assistant", "tool_calls": 5}, "messages[0].tool_calls"),
    "a call's id is an object": (
        {"role": "tool", "tool_call_id": {}, "content": "x"},
        "messages[0].tool_call_id",
    ),
}


@pytest.mark.parametrize("name", CHAT)
async def test_in_a_chat_message(tmp_path: Path, name: str) -> None:
    """400, and the field's name."""
    message, param = CHAT[name]
    body = {"model": MODEL, "messages": [message]}
    assert await _refused(tmp_path, "POST", "/v1/chat/completions", json=body) == (400, param)


async def test_in_a_choice_of_tools(tmp_path: Path) -> None:
    """Allowed tools that are no list."""
    choice = {"type": "allowed_tools", "allowed_tools": {"tools": 5}}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "tool_choice": choice}
    refused = await _refused(tmp_path, "POST", "/v1/chat/completions", json=body)
    assert refused == (400, "tool_choice.allowed_tools.tools")


async def test_in_a_list_of_tools(tmp_path: Path) -> None:
    """A tool whose type is a list."""
    body = {"model": MODEL, "input": "x", "tools": [{"type": []}]}
    status, param = await _refused(tmp_path, "POST", "/v1/responses", json=body)
    assert (status, str(param).startswith("tools[0]")) == (400, True)


@pytest.mark.parametrize("limit", ["²", "9" * 5000, "-1", "1.0", ""])
async def test_in_a_query(tmp_path: Path, limit: str) -> None:
    """Digits that are no number, and more of them than a number has."""
    refused = await _refused(tmp_path, "GET", "/v1/files", params={"limit": limit})
    assert refused == (400, "limit")


async def test_in_the_host_header(tmp_path: Path) -> None:
    """A Host that is no name is not served here."""
    assert await _refused(tmp_path, "GET", "/v1/models", headers={"host": "["}) == (403, None)


async def _refused(home: Path, method: str, path: str, **request: Any) -> tuple[int, str | None]:
    async with served(settings(home)) as server, server.http() as http:
        answer = await http.request(method, path, **request)
    assert "x-request-id" in answer.headers
    return answer.status_code, answer.json()["error"]["param"]
