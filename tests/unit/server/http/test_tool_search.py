"""Tools that the model is shown later: searched for by the server or by the client, or brought along by items."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from tests.mcp_server import served_mcp
from tests.serving import MODEL, script, served, settings

from kodo.server.lifecycle.ports import Prompt

SEARCH: Any = {"type": "tool_search"}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Current weather of a city. 天気を調べる",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "defer_loading": True,
}
MAIL: Any = {
    "type": "namespace",
    "name": "mail",
    "description": "Letters",
    "tools": [
        {"type": "function", "name": "send", "description": "Send a letter", "defer_loading": True},
        {"type": "function", "name": "count", "description": "Count the letters"},
    ],
}


def when(match: str, *steps: dict[str, Any]) -> dict[str, Any]:
    """A turn for a prompt whose last item has a text."""
    return {"match": match, "steps": list(steps)}


def find(query: str) -> dict[str, Any]:
    """A step that searches."""
    return {"type": "call", "name": "tool_search", "arguments": {"query": query}, "call_id": "call_find"}


def call(name: str, namespace: str | None = None) -> dict[str, Any]:
    """A step that calls."""
    return {"type": "call", "name": name, "namespace": namespace, "arguments": {}}


def prompts_of(server: Any) -> list[Prompt]:
    """The prompts that the engine was asked, from now on."""
    engine, seen = server.state.models[MODEL].engine, []
    prepare = engine.prepare

    async def noted(prompt: Prompt) -> Any:
        seen.append(prompt)
        return await prepare(prompt)

    engine.prepare = noted
    return seen


def names(prompt: Prompt) -> list[tuple[str, bool]]:
    """The tools of a prompt by name, and whether they are shown later."""
    found = []
    for tool in prompt.tools:
        for inner in getattr(tool, "tools", (tool,)):
            found.append((inner.name, inner.defer_loading is True))
    return found


def types_of(response: Response) -> list[str]:
    """The types of a response's output."""
    return [item.type for item in response.output]


async def test_the_server_finds_a_tool_and_the_model_calls_it(tmp_path: Path) -> None:
    """Call and output are items; what was found is appended behind the tools of the first prompt, which stay."""
    turns = when("rain", find("weather")), when("get_weather", call("get_weather"))
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        prompts = prompts_of(server)
        done = await server.sdk().responses.create(
            model=MODEL, input="will it rain?", tools=[WEATHER, SEARCH, MAIL]
        )
        Response.model_validate_json(done.to_json(), strict=True)
    assert types_of(done) == ["tool_search_call", "tool_search_output", "function_call"]
    searched, found, _ = done.output
    assert searched.type == "tool_search_call" and found.type == "tool_search_output"
    assert (searched.call_id, searched.execution, searched.arguments) == (
        None,
        "server",
        {"query": "weather"},
    )
    assert [tool.name for tool in found.tools] == ["get_weather"]  # type: ignore[union-attr]  # a function
    first, second = names(prompts[0]), names(prompts[1])
    assert first == [("tool_search", False), ("count", False)]
    assert second == [*first, ("get_weather", True)]


async def test_a_loaded_tool_stays_loaded_in_the_chain(tmp_path: Path) -> None:
    """The next response offers it without another search; functions of a namespace are found in it; so in Japanese."""
    turns = (
        when("Send a letter", call("send", "mail")),
        when("letter", find("send a letter")),
        when("get_weather", call("get_weather")),
        when("天気", find("天気")),
        when("posted", {"type": "text", "text": "ok"}),
    )
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        sdk, prompts = server.sdk(), prompts_of(server)
        tools = [WEATHER, SEARCH, MAIL]
        first = await sdk.responses.create(model=MODEL, input="a letter", tools=tools)
        assert first.output[-1].namespace == "mail"  # type: ignore[union-attr]  # a call
        output: Any = {
            "type": "function_call_output",
            "call_id": first.output[-1].call_id,  # type: ignore[union-attr]
            "output": "posted",
        }
        second = await sdk.responses.create(
            model=MODEL, input=[output], tools=tools, previous_response_id=first.id
        )
        assert names(prompts[-1])[-1] == ("send", True)
        third = await sdk.responses.create(
            model=MODEL, input="天気は?", tools=tools, previous_response_id=second.id
        )
    assert types_of(third) == ["tool_search_call", "tool_search_output", "function_call"]
    assert names(prompts[-1])[-2:] == [("send", True), ("get_weather", True)]


async def test_the_client_answers_the_search(tmp_path: Path) -> None:
    """``execution: client``: the call ends the response; the tools of the answer can be called, and are shown as its
    output."""
    tool: Any = {"type": "tool_search", "execution": "client", "description": "Look in the shed."}
    turns = when("dig", find("spade")), when("spade", call("spade"))
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        sdk, prompts = server.sdk(), prompts_of(server)
        first = await sdk.responses.create(model=MODEL, input="dig", tools=[tool])
        assert types_of(first) == ["tool_search_call"]
        searched = first.output[0]
        assert searched.type == "tool_search_call"
        assert (searched.execution, searched.arguments) == ("client", {"query": "spade"})
        answer: Any = {
            "type": "tool_search_output",
            "call_id": searched.call_id,
            "execution": "client",
            "status": "completed",
            "tools": [
                {"type": "function", "name": "spade", "description": "Dig", "parameters": {"type": "object"}}
            ],
        }
        second = await sdk.responses.create(
            model=MODEL, input=[answer], tools=[tool], previous_response_id=first.id
        )
        assert types_of(second) == ["function_call"]
        shown = [context.item for context in prompts[-1].items]
        assert [type(item).__name__ for item in shown] == ["Message", "FunctionCall", "FunctionCallOutput"]
        assert names(prompts[-1]) == [("tool_search", False), ("spade", True)]
        stateless: Any = [{"role": "user", "content": "dig"}, searched.to_dict(), answer]
        third = await sdk.responses.create(model=MODEL, input=stateless, tools=[tool], store=False)
        assert types_of(third) == ["function_call"]


async def test_items_bring_tools_along(tmp_path: Path) -> None:
    """``additional_tools``: callable from there on, without any in the request; what is no tool is a 400."""
    turns = (when("spade", call("spade")),)
    item: Any = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [{"type": "function", "name": "spade", "parameters": {"type": "object"}}],
    }
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        sdk = server.sdk()
        done = await sdk.responses.create(
            model=MODEL, input=[item, {"role": "user", "content": "use the spade"}]
        )
        assert types_of(done) == ["function_call"]
        answer = {"type": "function_call_output", "call_id": done.output[0].call_id, "output": "dug"}  # type: ignore[union-attr]
        more: Any = [answer, {"role": "user", "content": "the spade"}]
        again = await sdk.responses.create(model=MODEL, input=more, previous_response_id=done.id)
        assert types_of(again) == ["function_call"]
        for wrong in ({"type": "web_search"}, {"type": "function"}, "spade"):
            with pytest.raises(openai.BadRequestError):
                await sdk.responses.create(model=MODEL, input=[{**item, "tools": [wrong]}])


async def test_a_whole_list_of_tools_may_come_as_an_item(tmp_path: Path) -> None:
    """Codex CLI's short form of a request has all its tools in the first item: the search that the client runs is offered,
    what the server would have to run is left out and named, and the rest can be called."""
    search: Any = {"type": "tool_search", "execution": "client", "description": "Look in the shed."}
    spade: Any = {"type": "function", "name": "spade", "parameters": {"type": "object"}}
    hosted: Any = [{"type": "web_search"}, {"type": "image_generation"}]
    item: Any = {"type": "additional_tools", "role": "developer", "tools": [spade, search, *hosted]}
    turns = when("dig", find("rake")), when("spade", call("spade"))
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        sdk, prompts = server.sdk(), prompts_of(server)
        made = await sdk.responses.with_raw_response.create(
            model=MODEL, input=[item, {"role": "user", "content": "dig"}]
        )
        assert made.headers["x-kodo-skipped-tools"] == "web_search, image_generation"
        first = made.parse()
        assert types_of(first) == ["tool_search_call"]
        assert first.output[0].type == "tool_search_call"
        assert first.output[0].execution == "client"
        assert names(prompts[-1]) == [("tool_search", False), ("spade", True)]
        assert prompts[-1].tools[0].description == "Look in the shed."  # type: ignore[union-attr]
        answer: Any = {
            "type": "tool_search_output",
            "call_id": first.output[0].call_id,
            "execution": "client",
            "tools": [{"type": "computer"}],  # a history's: nothing of it can be called here
        }
        more: Any = [answer, {"role": "user", "content": "use the spade"}]
        second = await sdk.responses.create(model=MODEL, input=more, previous_response_id=first.id)
        assert types_of(second) == ["function_call"]
        kept = await sdk.responses.create(
            model=MODEL, input=[{**item, "tools": []}, *more[1:]], tools=[search, spade]
        )
        assert types_of(kept) == ["function_call"]
        counted = await sdk.responses.input_tokens.count(
            model=MODEL, input=[item, {"role": "user", "content": "dig"}]
        )
        assert counted.input_tokens == first.usage.input_tokens  # type: ignore[union-attr]


async def test_a_search_that_an_item_brings_is_known_after_a_restart(tmp_path: Path) -> None:
    """A response that a server goes on with has the tools that it began with."""
    search: Any = {"type": "tool_search", "execution": "client"}
    item: Any = {"type": "additional_tools", "role": "developer", "tools": [search]}
    turns = (when("dig", {"type": "text", "text": "So"}, {"type": "delay", "seconds": 0.5}, find("rake")),)
    home = settings(tmp_path, script(tmp_path, *turns), shutdown_seconds=0)
    async with served(home) as server:
        made = await server.sdk().responses.create(
            model=MODEL, input=[item, {"role": "user", "content": "dig"}], background=True
        )
    async with served(home) as server:
        done = made
        while done.status in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
            done = await server.sdk().responses.retrieve(made.id)
        assert types_of(done)[-1] == "tool_search_call"


async def test_deferring_needs_a_search(tmp_path: Path) -> None:
    """A tool that could never be found is a 400."""
    async with served(settings(tmp_path)) as server:
        with pytest.raises(openai.BadRequestError, match="tool_search"):
            await server.sdk().responses.create(model=MODEL, input="x", tools=[WEATHER])


async def test_a_search_without_a_hit_says_so(tmp_path: Path) -> None:
    """The model is told, the output is empty, the answer goes on."""
    turns = when("rain", find("submarine")), when("No tool fits", {"type": "text", "text": "none"})
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        done = await server.sdk().responses.create(model=MODEL, input="rain", tools=[WEATHER, SEARCH])
    assert done.output[1].to_dict()["tools"] == []
    assert done.output_text == "none"


async def test_an_mcp_server_is_deferred(tmp_path: Path) -> None:
    """Its tools are listed but not shown; a search finds them under its label, and they are called."""
    turns = (
        when("sum", find("add numbers")),
        when('"add"', {"type": "call", "name": "calc__add", "arguments": {"a": 2, "b": 3}}),
        when("^5$", {"type": "text", "text": "It is 5."}),
    )
    async with served_mcp(tmp_path / "journal") as mcp:
        given = settings(
            tmp_path, script(tmp_path, *turns), tools={"mcp": {"servers": {"calc": {"url": mcp.url}}}}
        )
        async with served(given) as server:
            prompts = prompts_of(server)
            tool: Any = {
                "type": "mcp",
                "server_label": "calc",
                "require_approval": "never",
                "defer_loading": True,
            }
            done = await server.sdk().responses.create(model=MODEL, input="the sum", tools=[tool, SEARCH])
            Response.model_validate_json(done.to_json(), strict=True)
    assert types_of(done) == [
        "mcp_list_tools",
        "tool_search_call",
        "tool_search_output",
        "mcp_call",
        "message",
    ]
    (space,) = done.output[2].to_dict()["tools"]  # type: ignore[misc]  # a list
    assert space["name"] == "calc" and "add" in [one["name"] for one in space["tools"]]
    assert names(prompts[1]) == [("tool_search", False)]
    assert ("calc__add", True) in names(prompts[2])
    assert json.loads(done.output[3].arguments) == {"a": 2, "b": 3}  # type: ignore[union-attr]  # the call
