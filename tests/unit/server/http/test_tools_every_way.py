"""Every tool that the server runs, on every way in: whole, streamed, in the background, over a WebSocket, in a batch, and with an upstream
model. The real tools, over a small web, a real MCP server and a real sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from tests.mcp_server import served_mcp
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_batches import finished, jsonl, line, lines_of, submit
from tests.unit.server.http.test_vector_stores import TEA, filled
from tests.web import search_settings, served_web
from websockets.asyncio.client import connect

from kodo.server.config import ModelSettings, Settings
from kodo.server.http.containers.runtime import refusal

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "defer_loading": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PYTHON: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
SHELL: Any = {"type": "shell", "environment": {"type": "container_auto"}}
Bodies = dict[str, tuple[list[Any], list[str]]]
"""By the question: the tools of the request, and the types of the response's output."""


def _call(name: str, **arguments: Any) -> list[dict[str, Any]]:
    return [{"type": "call", "name": name, "arguments": arguments}]


TURNS: list[dict[str, Any]] = [
    {"match": "ask the files", "steps": _call("file_search", queries=["green tea"])},
    {"match": "ask the web", "steps": _call("web_search", query="green tea")},
    {"match": "ask the server", "steps": _call("calc__add", a=2, b=3)},
    {"match": "ask python", "steps": _call("python", code="print(2 + 3)")},
    {"match": "ask the shell", "steps": _call("shell", commands=["echo 5"])},
    {"match": "ask for tools", "steps": _call("tool_search", query="weather")},
    {"match": ".", "steps": [{"type": "text", "text": "done"}]},
]


def bodies(store: str) -> Bodies:
    """What is asked, with which tools, and what comes out."""
    found: Bodies = {
        "ask the files": (
            [{"type": "file_search", "vector_store_ids": [store]}],
            ["file_search_call", "message"],
        ),
        "ask the web": ([{"type": "web_search"}], ["web_search_call", "message"]),
        "ask the server": (
            [{"type": "mcp", "server_label": "calc", "require_approval": "never"}],
            ["mcp_list_tools", "mcp_call", "message"],
        ),
        "ask for tools": (
            [{"type": "tool_search"}, WEATHER],
            ["tool_search_call", "tool_search_output", "message"],
        ),
    }
    if refusal(None):  # a machine without the sandbox runs no code
        return found
    return found | {
        "ask python": ([PYTHON], ["code_interpreter_call", "message"]),
        "ask the shell": ([SHELL], ["shell_call", "shell_call_output", "message"]),
    }


def _body(question: str, tools: list[Any]) -> dict[str, Any]:
    return {"model": MODEL, "input": question, "tools": tools}


async def whole(server: Served, asked: Bodies) -> dict[str, Any]:
    """One answer a request."""
    made = [await server.sdk().responses.create(**_body(q, tools)) for q, (tools, _) in asked.items()]
    return {one.id: one.to_dict() for one in made}


async def streamed(server: Served, asked: Bodies) -> dict[str, Any]:
    """The last event's response; the items that were announced are its output."""
    found = {}
    for question, (tools, _) in asked.items():
        stream = await server.sdk().responses.create(**_body(question, tools), stream=True)
        events = [event.to_dict() async for event in stream]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        final: Any = events[-1]["response"]
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert done == final["output"]
        found[final["id"]] = final
    return found


async def in_background(server: Served, asked: Bodies) -> dict[str, Any]:
    """All at once, looked at until they are over."""
    sdk = server.sdk()
    made = [await sdk.responses.create(**_body(q, tools), background=True) for q, (tools, _) in asked.items()]
    found = {}
    for one in made:
        while one.status in ("queued", "in_progress"):
            await asyncio.sleep(0.02)
            one = await sdk.responses.retrieve(one.id)
        found[one.id] = one.to_dict()
    return found


async def over_a_socket(server: Served, asked: Bodies) -> dict[str, Any]:
    """One after the other on one connection."""
    found = {}
    async with connect(f"ws{server.url[4:]}/v1/responses") as socket:
        for question, (tools, _) in asked.items():
            await socket.send(json.dumps({"type": "response.create", **_body(question, tools)}))
            event: Any = {"type": ""}
            while event["type"] != "response.completed":
                event = json.loads(await socket.recv())
                assert event["type"] not in ("error", "response.failed"), event
            found[event["response"]["id"]] = event["response"]
    return found


async def in_a_batch(server: Served, asked: Bodies) -> dict[str, Any]:
    """A line each."""
    lines = (line(question, input=question, tools=tools) for question, (tools, _) in asked.items())
    batch = await finished(server.sdk(), (await submit(server.sdk(), jsonl(*lines))).id)
    assert batch.error_file_id is None
    results = await lines_of(server.sdk(), batch.output_file_id)
    return {question: results[question]["response"]["body"] for question in asked}


WAYS: dict[str, Callable[[Served, Bodies], Awaitable[dict[str, Any]]]] = {
    "whole": whole,
    "streamed": streamed,
    "in the background": in_background,
    "over a WebSocket": over_a_socket,
    "in a batch": in_a_batch,
}


async def held(server: Served, way: str) -> None:
    """Ask everything, and compare."""
    asked = bodies(await filled(server.sdk(), tea_md=TEA))
    found = await WAYS[way](server, asked)
    for (question, (_, types)), response in zip(asked.items(), found.values(), strict=True):
        Response.model_validate_json(json.dumps(response), strict=True)
        assert response["status"] == "completed", (question, response["error"])
        assert [item["type"] for item in response["output"]] == types, question
        assert all(item.get("status", "completed") == "completed" for item in response["output"]), response
        assert response["output"][-1]["content"][0]["text"] == "done"


@pytest.mark.parametrize("way", WAYS)
async def test_each_tool(tmp_path: Path, way: str) -> None:
    """Its items are completed and in their order, and the model has answered."""
    async with served_web() as (_, port), served_mcp(tmp_path / "journal") as mcp:
        async with served(_settings(tmp_path, port, mcp.url)) as server:
            await held(server, way)


async def test_each_tool_with_an_upstream_model(tmp_path: Path) -> None:
    """The tools run here, the model there."""
    async with served_web() as (_, port), served_mcp(tmp_path / "journal") as mcp:
        async with served(settings(tmp_path / "far", script(tmp_path, *TURNS))) as far:
            model = ModelSettings(engine="upstream", base_url=f"{far.url}/v1", target=MODEL, api="responses")
            async with served(_settings(tmp_path, port, mcp.url, model)) as server:
                await held(server, "streamed")


def _settings(tmp_path: Path, port: int, mcp_url: str, model: ModelSettings | None = None) -> Settings:
    tools = {
        "web_search": search_settings(port),
        "mcp": {"servers": {"calc": {"url": mcp_url}}, "connect_seconds": 60},
        "call_seconds": 120,
    }
    return settings(tmp_path / "home", model or script(tmp_path, *TURNS), tools=tools)
