"""A search on the web over ``kill -9``: a call that was cut off is made again, and recorded once."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from tests.crash.process import start
from tests.serving import MODEL
from tests.web import FakeWeb, served_web, tool_settings

TURNS = [
    {"match": "<page", "steps": [{"type": "text", "text": "Black tea takes four minutes[w2.1]."}]},
    {"match": "<result", "steps": [{"type": "call", "name": "open_page", "arguments": {"url": "[w1]"}}]},
    {"match": ".", "steps": [{"type": "call", "name": "web_search", "arguments": {"query": "black tea"}}]},
]
ENTRY: Any = {"type": "web_search"}


async def asked(web: FakeWeb, struck: str) -> None:
    """Wait until the call runs."""
    async with asyncio.timeout(60):
        while not (web.searches if struck == "search" else web.opened):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("struck", ["search", "open_page"])
async def test_a_call_that_was_cut_off_is_made_again(tmp_path: Path, struck: str) -> None:
    """Killed while the service, or the page's server, has not answered: one item a call, each event once, the answer."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"turns": TURNS}))
    async with served_web(delay=0.0) as (web, port):
        tools = json.loads(tool_settings(port).model_dump_json())
        run = partial(start, tmp_path / "home", script, tools=tools)
        server = await asyncio.to_thread(run)
        try:
            web.delay = 600.0 if struck == "search" else 0.0
            create = partial(server.sdk().responses.create, model=MODEL, input="How long is tea steeped?")
            made = await asyncio.to_thread(create, tools=[ENTRY], background=True, stream=False)
            if struck == "open_page":
                web.delay = 0.2
            await asked(web, struck)
            await asyncio.to_thread(server.kill)
            web.delay = 0.0
            server = await asyncio.to_thread(run)
            done = await over(server, made.id)
            events = await asyncio.to_thread(
                lambda: [event.type for event in server.sdk().responses.retrieve(made.id, stream=True)]
            )
        finally:
            server.kill()
    assert done.status == "completed", done.error
    assert [item.type for item in done.output] == ["web_search_call", "web_search_call", "message"]
    assert [item.status for item in done.output] == ["completed"] * 3  # type: ignore[union-attr]
    assert done.output_text == "Black tea takes four minutes."
    (note,) = done.output[-1].content[0].annotations  # type: ignore[union-attr]
    assert note.url.endswith("/pages/tea") and (note.start_index, note.end_index) == (0, 28)  # type: ignore[union-attr]
    for kind in ("in_progress", "searching", "completed"):
        assert events.count(f"response.web_search_call.{kind}") == 2
    assert len(web.searches if struck == "search" else web.opened) == 2


async def over(server: Any, name: str) -> Response:
    """The response, once it is over."""
    async with asyncio.timeout(120):
        while True:
            found = await asyncio.to_thread(server.sdk().responses.retrieve, name)
            if found.status not in ("queued", "in_progress"):
                return Response.model_validate_json(found.to_json(), strict=True)
            await asyncio.sleep(0.02)
