"""MCP over ``kill -9``: approvals hold, a read is made again, a write that was cut off is reported and never made twice."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from tests.crash.process import Killable, start
from tests.mcp_server import served_mcp
from tests.serving import MODEL

ENTRY: Any = {"type": "mcp", "server_label": "calc"}
TURNS = [
    {"match": "^written", "steps": [{"type": "text", "text": "It is written."}]},
    {"match": "may or may not", "steps": [{"type": "text", "text": "I do not know whether it was written."}]},
    {"match": "^5$", "steps": [{"type": "text", "text": "It is 5."}]},
    {"match": "add", "steps": [{"type": "call", "name": "calc__add", "arguments": {"a": 2, "b": 3}}]},
    {
        "match": "please",
        "steps": [{"type": "call", "name": "calc__write", "arguments": {"text": "x", "seconds": 0.5}}],
    },
]


class Kodo:
    """A server that is killed and started again over the same home."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"turns": TURNS}))
        tools = {"mcp": {"servers": {"calc": {"url": url}}}}
        self._start = partial(start, tmp_path / "home", script, tools=tools)
        self.server: Killable

    async def start(self) -> None:
        """Start it."""
        self.server = await asyncio.to_thread(self._start)

    async def restart(self) -> None:
        """Kill it, and start it again."""
        await asyncio.to_thread(self.server.kill)
        await self.start()

    async def background(self, **body: Any) -> Response:
        """A background response that was accepted."""
        return await asyncio.to_thread(
            self.server.sdk().responses.create, model=MODEL, background=True, **body
        )

    async def over(self, name: str) -> Response:
        """The response, once it is over."""
        while True:
            found = await asyncio.to_thread(self.server.sdk().responses.retrieve, name)
            if found.status not in ("queued", "in_progress"):
                return Response.model_validate_json(found.to_json(), strict=True)
            await asyncio.sleep(0.02)


async def said(journal: Path, line: str) -> None:
    """Wait for a line of the tools' journal."""
    while not journal.exists() or line not in journal.read_text().splitlines():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("struck", ["asked", "called", "written"])
async def test_an_approval_and_its_call_outlive_kills(tmp_path: Path, struck: str) -> None:
    """Killed after the request, in the middle of the approved call, or behind it: asked once, written once."""
    journal = tmp_path / "journal"
    async with served_mcp(journal) as mcp:
        kodo = Kodo(tmp_path, mcp.url)
        await kodo.start()
        try:
            asked = await kodo.over((await kodo.background(input="please", tools=[ENTRY])).id)
            request = asked.output[-1]
            assert request.type == "mcp_approval_request"
            if struck == "asked":
                await kodo.restart()
                assert (await kodo.over(asked.id)).output == asked.output
            answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
            begun = await kodo.background(input=[answer], tools=[ENTRY], previous_response_id=asked.id)
            if struck == "called":
                await said(journal, "write x")
                await kodo.restart()
            elif struck == "written":
                await said(journal, "wrote x")
                await kodo.restart()
            done = await kodo.over(begun.id)
        finally:
            kodo.server.kill()
    called, message = done.output
    assert called.type == "mcp_call" and message.type == "message"
    assert called.approval_request_id == request.id
    assert journal.read_text().splitlines().count("write x") == 1, "a write was made twice"
    assert called.status == ("failed" if struck == "called" else called.status)
    expected = "It is written." if called.status == "completed" else "I do not know whether it was written."
    assert done.output_text == expected


async def test_a_listing_and_a_read_are_made_again(tmp_path: Path) -> None:
    """Killed as soon as the response was accepted, again and again: it ends as if nothing had been."""
    async with served_mcp(tmp_path / "journal") as mcp:
        kodo = Kodo(tmp_path, mcp.url)
        await kodo.start()
        try:
            for pause in (0.0, 0.01, 0.03, 0.06):
                begun = await kodo.background(input="add", tools=[{**ENTRY, "require_approval": "never"}])
                await asyncio.sleep(pause)
                await kodo.restart()
                done = await kodo.over(begun.id)
                assert [item.type for item in done.output] == ["mcp_list_tools", "mcp_call", "message"]
                assert done.output_text == "It is 5."
        finally:
            kodo.server.kill()
